// The peer: its usual way of doing things. By itself there is nothing in it that would hold it back, and it asks nobody
// for a token; with JWKS it looks at tokens, and shows a private community to its members alone, as a bank would have it.
import { createServer } from "node:http";
import { Neo4jGraphQL } from "@neo4j/graphql";
import { createYoga } from "graphql-yoga";
import neo4j from "neo4j-driver";

const { JWKS, NEO4J_URI, PORT } = process.env;
const signedIn = JWKS ? "@authentication" : "";
const seen = JWKS
  ? `@authorization(filter: [
      { where: { node: { visibility: { in: ["PUBLIC", "UNLISTED"] } } } }
      { where: { node: { members: { some: { id: { eq: "$jwt.sub" } } } } } }
    ])`
  : "";

const typeDefs = /* GraphQL */ `
  type Community @node ${signedIn} ${seen} {
    id: ID!
    name_en: String!
    purpose_en: String
    visibility: String!
    join_policy: String!
    member_count: Int!
    created_at: String!
    members: [Customer!]! @relationship(type: "MEMBER_OF", direction: IN, properties: "Membership")
    events: [Event!]! @relationship(type: "HOSTS", direction: OUT)
    tags: [Tag!]! @relationship(type: "ABOUT", direction: OUT)
  }

  type Membership @relationshipProperties {
    role: String!
    since: String!
  }

  type Event @node ${signedIn} {
    id: ID!
    title_en: String!
    venue: String
    starts_at: String!
    ends_at: String!
    capacity: Int
    registered: Int!
  }

  type Tag @node {
    key: String!
    name_en: String!
    family: String!
  }

  type Tagging @relationshipProperties {
    source: String
    confidence: Float
  }

  type Referring @relationshipProperties {
    at: String!
  }

  type Customer @node ${signedIn} {
    id: ID!
    display_name: String!
    tags: [Tag!]! @relationship(type: "TAGGED", direction: OUT, properties: "Tagging")
    communities: [Community!]! @relationship(type: "MEMBER_OF", direction: OUT, properties: "Membership")
    referred: [Customer!]! @relationship(type: "REFERRED", direction: OUT, properties: "Referring")
    recommendations: [PeerRecommendation!]! @relationship(type: "PEER_LISTS", direction: OUT)
  }

  type PeerRecommendation @node {
    score: Float!
    place: Int!
    community: [Community!]! @relationship(type: "PEER_OF", direction: OUT)
    reasons: [PeerReason!]! @relationship(type: "PEER_FOR", direction: OUT)
  }

  type PeerReason @node {
    kind: String!
    text: String!
  }
`;

const driver = neo4j.driver(NEO4J_URI, neo4j.auth.basic("neo4j", ""), { maxConnectionPoolSize: 50 });
const features = JWKS ? { authorization: { key: { url: JWKS } } } : {};
const schema = await new Neo4jGraphQL({ typeDefs, driver, features }).getSchema();
const context = ({ request }) => ({ token: request.headers.get("authorization") });
const yoga = createYoga({ schema, logging: false, graphiql: false, context });
createServer(yoga).listen(Number(PORT), "127.0.0.1", () => console.log("ready"));
