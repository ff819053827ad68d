"""The kinds of facts of our own that several rooms name, because siblings do not import each other.

What their payloads name: those of complaints and hand-offs the `complaint`, of events and registrations the `event_id`,
of redemptions the `redemption_id`.
"""

EVENT_ATTENDED = "EVENT_ATTENDED"
# An offer of a place that ran out, or a place whose points could not be charged.
REGISTRATION_ABANDONED = "REGISTRATION_ABANDONED"
REDEMPTION_FULFILLED = "REDEMPTION_FULFILLED"
# Also one that its partner did not fulfil in time.
REDEMPTION_FAILED = "REDEMPTION_FAILED"
COMPLAINT_FILED = "COMPLAINT_FILED"
COMPLAINT_CLOSED = "COMPLAINT_CLOSED"
COMPLAINT_REOPENED = "COMPLAINT_REOPENED"
COMPLAINT_FIRST_RESPONSE_LATE = "COMPLAINT_FIRST_RESPONSE_LATE"
HAND_OFF_DECLINED = "HAND_OFF_DECLINED"
INTERACTION_LOGGED = "INTERACTION_LOGGED"
FOLLOW_UP_MISSED = "FOLLOW_UP_MISSED"
SURVEY_SUBMITTED = "SURVEY_SUBMITTED"
SERVICE_BREAK_FOUND = "SERVICE_BREAK_FOUND"
SERVICE_BREAK_RECOVERED = "SERVICE_BREAK_RECOVERED"
