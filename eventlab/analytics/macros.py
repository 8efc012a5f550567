"""The analyses for people who stay in SQL: table macros over ``events``, which a session makes where a query names one."""

from eventlab.analytics import macro_funnels, retentions, visits

MACROS: dict[str, str] = {
    "sessions": visits.macro(),
    "retention": retentions.macro(),
    "funnel": macro_funnels.macro(),
}
