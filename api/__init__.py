"""The edge: the GraphQL schema and the HTTP server around it."""
