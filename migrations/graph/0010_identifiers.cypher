// Devices, cards and addresses by their keyed hashes; who uses them is walked from a customer or from an identifier.
CREATE CONSTRAINT identifier_key IF NOT EXISTS FOR (n:Identifier) REQUIRE n.key IS UNIQUE;
