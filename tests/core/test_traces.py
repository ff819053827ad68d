"""Every column that may name a customer says what becomes of it: a table that is added cannot be forgotten."""

import re
from collections import Counter
from pathlib import Path

from core.processes import REPOSITORY
from core.traces import WhenErased, WhenMerged, all_traces
from customers.erasure import CUT_TIES
from customers.erasure import KEPT_TIES as TIES_KEPT
from ops.tables import METADATA

# Columns that look as if they named a customer, and name something else; the reason stands beside each.
OTHERS = {
    # Employees and systems, as their tokens name them.
    *("adjustment.requested_by", "adjustment.decided_by", "break_glass.employee_id", "coupon_batch.added_by"),
    *("customer_erasure.requested_by", "customer_merge.requested_by", "customer_tag.set_by", "fraud_case.decided_by"),
    *("household.declared_by", "identity_review.decided_by", "import_batch.started_by", "redemption.ended_by"),
    *("redemption.used_by", "referral_reward.reviewed_by", "reward_price.set_by", "reward_restock.made_by"),
    "service_record.employee_id",
    *("alert.acknowledged_by", "alert.closed_by", "insight_policy.activated_by", "insight_policy.created_by"),
    *("segment.archived_by", "segment.created_by", "segment.updated_by", "segment_version.made_by"),
    *("tier_override.decided_by", "tier_override.ended_by", "tier_override.requested_by"),
    *("tier_policy.activated_by", "tier_policy.created_by"),
    *("care_policy.activated_by", "care_policy.created_by"),
    *("recommendation_policy.activated_by", "recommendation_policy.created_by"),
    *("recommendation_experiment.ended_by", "recommendation_experiment.started_by"),
    *("action_plan.ended_by", "action_plan.started_by", "action_plan_template.created_by"),
    *("action_plan_template.retired_by", "interaction.employee_id", "task.ended_by"),
    *("service_policy.activated_by", "service_policy.created_by"),
    *("service_break.recovered_by", "service_break_rule.created_by", "service_break_rule_version.created_by"),
    *("survey_policy.activated_by", "survey_policy.created_by"),
    # Who decided about a need is an employee, or the customer whose need it is, with which it goes.
    "need.decided_by",
    *("business_calendar.updated_by", "complaint.filed_by", "complaint.owner", "complaint.extension_asked_by"),
    *("complaint_policy.activated_by", "complaint_policy.created_by"),
    # Things.
    *(
        "action_plan.calendar_id",
        "complaint.calendar_id",
        "complaint.community_id",
        "complaint.policy_id",
        "complaint_accused.complaint_id",
    ),
    *("complaint_entry.complaint_id", "complaint_key.complaint_id", "complaint_key.key_id"),
    "complaint_mark.complaint_id",
    *("care_greeting.occasion_id", "care_occasion.care_date_id"),
    *("advice_note.drafted_by", "advice_note.published_by", "product_rating.set_by", "risk_assessment.entered_by"),
    *("risk_questionnaire.activated_by", "risk_questionnaire.created_by"),
    # Things.
    *("advice_note.thread_id", "advice_question.thread_id", "advice_thread.key_id"),
    *("product_rating.product_id", "product_tag.product_id", "risk_assessment.questionnaire_id"),
    *("alert.policy_id", "alert.subject", "alert_guard.alert_id", "alert_guard.subject", "import_count.batch_id"),
    *("insight_policy_choice.policy_id", "insight_sweep.policy_id", "need.policy_id", "need_guard.need_id"),
    *("reward.segment_id", "segment_version.segment_id", "task.subject", "tier_change.override_id"),
    "tier_run.policy_id",
    # Who wrote, reviewed and published for everybody, and who set up gateways, are employees.
    *("content_article.changed_by", "content_article.created_by", "content_article.published_by"),
    *("content_article.retired_by", "content_article.reviewed_by", "content_writer.employee_id"),
    *("message_policy.activated_by", "message_policy.created_by"),
    *("webhook_endpoint.created_by", "webhook_endpoint.disabled_by"),
    # What messages and articles are about.
    *("content_announcement.article_id", "content_tag.article_id", "content_writer.article_id"),
    *("message.policy_id", "message.subject", "message_delivery.message_id"),
    *("webhook_endpoint.former_key_id", "webhook_endpoint.key_id"),
    *("recommendation_choice.experiment_id", "recommendation_choice.policy_id", "recommendation_count.community_id"),
    *("recommendation_experiment.control_id", "recommendation_experiment.treatment_id"),
    "recommendation_exposure.community_id",
    *("action_plan.template_id", "action_plan_step.plan_id", "follow_up.policy_id", "follow_up_run.policy_id"),
    "service_policy_choice.policy_id",
    *(
        "account_transaction.account_id",
        "calendar_revision.event_id",
        "coupon_code.batch_id",
        "coupon_code.redemption_id",
    ),
    *("coupon_code.reward_id", "coupon_batch.reward_id", "customer_tier.override_id", "customer_tier.policy_id"),
    *("earning.fact_id", "earning.reversal_id", "earning.rule_id", "earning_rule_turn.rule_id"),
    *("earning_rule_version.rule_id", "earning_rule_watch.rule_id", "event_charge.event_id", "event_charge.posting_id"),
    *("event_charge.refund_id", "event_feedback.event_id", "event_rating.event_id", "fraud_case_member.case_id"),
    *("household_member.household_id", "identity_review_customer.review_id", "import_rejection.batch_id"),
    *("ledger_entry.account_id", "ledger_entry.posting_id", "ledger_lot.posting_id", "ledger_lot.source_lot_id"),
    *("ledger_posting.cause_id", "lot_debit.lot_id", "lot_debit.posting_id", "moderation_case.community_id"),
    *("points_transfer.posting_id", "adjustment.posting_id", "personal_key.key_id", "redemption.posting_id"),
    *("redemption.refund_id", "redemption.reward_id", "referral.click_id", "referral.code_id", "referral.program_id"),
    *(
        "referral_channel.program_id",
        "referral_click.code_id",
        "referral_code.program_id",
        "referral_counter.program_id",
    ),
    *("referral_influence.program_id", "referral_program_version.program_id", "referral_pseudonym.program_id"),
    *(
        "referral_reward.case_id",
        "referral_reward.fact_id",
        "referral_reward.program_id",
        "referral_reward.referral_id",
    ),
    *(
        "referral_standing.entry_id",
        "referral_standing.program_id",
        "referral_step.fact_id",
        "referral_step.program_id",
    ),
    "recommendation_range.run_id",
    *("service_break.next_survey_id", "service_break.rule_id", "service_break.subject", "service_break_fact.break_id"),
    *("service_break_fact.fact_id", "service_break_fact.rule_id", "service_break_rule_version.rule_id"),
    *("service_break_sweep.fact_id", "service_break_watch.rule_id", "survey.community_id", "survey.policy_id"),
    *("survey.subject", "survey_policy_choice.policy_id"),
    *("referral_step.referral_id", "report.target_id", "reward_price.reward_id", "reward_restock.reward_id"),
    *("reward_tag.reward_id", "search_document.node_id", "tag.merged_into"),
}
NAMES = re.compile(r".*_(id|by|into)$|actor|concerns|subject|area|person|owner|user")


def test_every_column_that_names_a_customer_is_a_trace() -> None:
    named = {
        f"{table.name}.{column.name}"
        for table in METADATA.tables.values()
        for column in table.columns
        if NAMES.fullmatch(column.name)
    } | {"customer.id"}
    traces = {trace.place for trace in all_traces()}
    assert named - traces - OTHERS == set(), "say in a traces.py what becomes of it, or here that it is no customer"
    assert (traces | OTHERS) - named == set(), "this column is gone"
    assert traces & OTHERS == set()


def test_a_trace_says_what_it_does_and_why() -> None:
    traces = list(all_traces())
    for trace in traces:
        assert (trace.erased == WhenErased.BLANKED) == bool(trace.blank), trace.place
        assert trace.clash is None or trace.merged in (WhenMerged.MOVED, WhenMerged.OWN), trace.place
        assert len(trace.why) > 4
        columns = METADATA.tables[trace.place.split(".")[0]].columns.keys()
        assert {*trace.blank, *(trace.clash or ()), *trace.hidden} <= set(columns), trace.place
    counted = Counter((trace.place, trace.form) for trace in traces)
    assert max(counted.values()) == 1


TIE = re.compile(r"-\[\w*:([A-Z_|]+)")


def test_every_relationship_of_a_customer_is_cut_or_kept() -> None:
    """Given the Cypher of all rooms, then each relationship is one that is named here, or of others."""
    found: set[str] = set()
    for room in ("customers", "community", "referrals", "graph", "segments", "service", "worker"):
        for path in (REPOSITORY / room).glob("*.py"):
            found |= {name for names in TIE.findall(Path(path).read_text()) for name in names.split("|")}
    others = {"ABOUT", "HOSTS", "HOSTS_EVENT"}
    assert found - others == {*CUT_TIES, *TIES_KEPT}
