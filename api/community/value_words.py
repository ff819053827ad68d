"""What each value of the enumerations of communities and events means, as the schema says it."""

WORDS: dict[str, dict[str, str]] = {
    "ActivityKind": {
        "POST": "Somebody has written a post, or changed one.",
        "COMMENT": "Somebody has commented on a post.",
        "EVENT": "An event was published or changed.",
        "MEMBERS": "Somebody has come, left or taken another role.",
        "OTHER": "Something else happened, or messages were missed: read anew what is shown.",
    },
    "AttendanceMode": {
        "IN_PERSON": "People come to the place.",
        "ONLINE": "People take part by a link.",
        "HYBRID": "Both are possible, each with places of its own.",
    },
    "Channel": {
        "PLACE": "At the place where the event is held.",
        "LINK": "By the link, from wherever one is.",
    },
    "CheckInOutcome": {
        "CHECKED_IN": "The customer is marked as having come.",
        "ALREADY_CHECKED_IN": "They were checked in before, which stays as it was.",
        "NOT_REGISTERED": "The customer has no place at this event.",
        "CODE_INVALID": "The code was not made for this event, or was altered.",
        "CODE_EXPIRED": "The code was good and is too old; the customer can show a fresh one.",
        "EVENT_NOT_RUNNING": "The event is a draft, was cancelled or is completed.",
        "CHECK_IN_NOT_OPEN": "It is too early: check-in opens some hours before the event begins.",
        "SELF_CHECK_IN": "Nobody checks themselves in; somebody else has to do it.",
        "NOT_FOUND": "There is no such event or customer, or you may not see them.",
    },
    "EventStatus": {
        "DRAFT": "Only managers of the community see it.",
        "PUBLISHED": "Readers of the community see it and can register.",
        "CANCELLED": "It does not take place; this is final.",
        "COMPLETED": "It has taken place; this is final.",
    },
    "JoinPolicy": {
        "OPEN": "Whoever joins is a member at once.",
        "REQUEST": "A moderator decides about each who asks.",
        "INVITE": "Only who was invited can join.",
    },
    "MemberRole": {
        "OWNER": "Has every right, and hands the community on.",
        "MANAGER": "Runs the community and its events.",
        "MODERATOR": "Lets people in, keeps order and decides reports.",
        "EXPERT": "A member whose answers are shown as an expert's.",
        "MEMBER": "Reads, writes and comes to events.",
        "PENDING": "Has asked to join and is no member yet.",
        "INVITED": "Was invited and has not answered yet.",
        "BANNED": "Was shut out and cannot join until the ban ends.",
    },
    "PostKind": {
        "TEXT": "Something to read and to talk about.",
        "QUESTION": "A question, of which one answer can be accepted.",
    },
    "ReactionKind": {
        "LIKE": "The member likes it.",
        "LOVE": "The member likes it very much.",
        "HELPFUL": "It has helped the member.",
        "THANKS": "The member says thank you.",
        "CHEER": "The member is glad for whoever wrote it.",
    },
    "RecommendationPolicyStatus": {
        "DRAFT": "It decides nothing yet, but may be tried on some customers.",
        "ACTIVE": "Lists are made by it.",
        "RETIRED": "Another took its place for good.",
    },
    "RecommendationVariant": {
        "CONTROL": "The active policy, and the only one while nothing is on trial.",
        "TREATMENT": "The policy that is on trial.",
    },
    "RegistrationStatus": {
        "REGISTERED": "Has a place.",
        "WAITING": "Stands on the waiting list.",
        "OFFERED": "Has been offered a place, which is kept for a while.",
        "OFFER_EXPIRED": "Did not take the offered place in time.",
        "CANCELLED": "The place, or the wait for one, was given back.",
        "ATTENDED": "Has come.",
        "NO_SHOW": "Had a place and did not come.",
    },
    "ReportReason": {
        "SPAM": "It advertises something, or is repeated again and again.",
        "ABUSE": "It insults or threatens somebody.",
        "FRAUD": "It tries to get at people's money or secrets.",
        "PRIVACY": "It shows what is private of somebody.",
        "ILLEGAL": "The law forbids it.",
        "OFF_TOPIC": "It does not belong into this community.",
        "OTHER": "Something else is wrong; the reader's words say what.",
    },
    "ReportResolution": {
        "DISMISS": "Nothing is wrong, and it stays.",
        "DELETE": "It is deleted, and its author is told.",
    },
    "SearchKind": {
        "COMMUNITY": "A community, by its name and description.",
        "EVENT": "An event, by its title, description and place.",
        "POST": "A post, by its text.",
    },
    "Visibility": {
        "PUBLIC": "Everybody finds it.",
        "UNLISTED": "Who has its link finds it.",
        "PRIVATE": "Its members alone find it.",
    },
}
