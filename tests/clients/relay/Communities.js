// Operations as an application with Relay writes them: each kind of fragment that pages or refetches.

export const query = graphql`
  query CommunitiesQuery($first: Int!) {
    ...Communities_query @arguments(first: $first)
    viewer {
      ...Communities_viewer
    }
  }
`;

export const communities = graphql`
  fragment Communities_query on Query
  @refetchable(queryName: "CommunitiesPaginationQuery")
  @argumentDefinitions(first: { type: "Int", defaultValue: 10 }, after: { type: "String" }) {
    communities(first: $first, after: $after) @connection(key: "Communities_communities") {
      edges {
        node {
          id
          ...Communities_community
        }
      }
    }
  }
`;

export const community = graphql`
  fragment Communities_community on Community
  @refetchable(queryName: "CommunityEventsPaginationQuery")
  @argumentDefinitions(first: { type: "Int", defaultValue: 5 }, after: { type: "String" }) {
    name
    memberCount
    events(first: $first, after: $after) @connection(key: "Community_events") {
      edges {
        node {
          id
          title
        }
      }
    }
  }
`;

export const viewer = graphql`
  fragment Communities_viewer on Viewer {
    customer {
      ...Communities_customer
    }
  }
`;

export const customer = graphql`
  fragment Communities_customer on Customer @refetchable(queryName: "CommunitiesCustomerRefetchQuery") {
    displayName
  }
`;

export const mutation = graphql`
  mutation CommunitiesJoinMutation($input: JoinCommunityInput!) {
    joinCommunity(input: $input) {
      ... on JoinCommunitySuccess {
        community {
          viewerRole
        }
      }
      ... on Refusal {
        code
        message
      }
    }
  }
`;

export const subscription = graphql`
  subscription CommunitiesSubscription($communityId: ID!) {
    communityActivity(communityId: $communityId) {
      kind
      community {
        memberCount
      }
    }
  }
`;
