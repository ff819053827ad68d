// What a change in the graph owes to other stores (graph/owed.py); the worker empties it.
CREATE CONSTRAINT owed_key IF NOT EXISTS FOR (n:Owed) REQUIRE n.key IS UNIQUE;
