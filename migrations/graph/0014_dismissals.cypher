// What a customer does not want to be recommended (community/dismissals.py): one for each pair of customer and thing.
CREATE CONSTRAINT dismissed_key IF NOT EXISTS FOR ()-[r:DISMISSED]-() REQUIRE r.key IS UNIQUE;
