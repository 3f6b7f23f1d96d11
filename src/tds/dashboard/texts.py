"""The sentences that scripts show, in the language of the request. `{name}` is filled in by the script.

A sentence with a number has a form for one and one for the others: `key_one`, `key_other`.
"""

from typing import Final

from django.utils.translation import gettext as _

STATUS_LINE: Final = frozenset(
    {
        *("updated", "loading", "zone", "unreachable", "unreachable_first", "server_failed", "retry_in", "back"),
        "unknown_answer",
    }
)


def script_texts() -> dict[str, str]:
    return {
        "updated": _("Updated at {time}"),
        "loading": _("Loading…"),
        "zone": _("Times in {zone}"),
        "stale_one": _("No new reading for more than {minutes} min: {devices}."),
        "stale_other": _("No new readings for more than {minutes} min from {count} devices: {devices}."),
        "and_more": _("{list} and {count} more"),
        "unreachable": _("The server cannot be reached since {time}. What you see is from then."),
        "unreachable_first": _("The server cannot be reached. Check the network; the page goes on trying."),
        "server_failed": _("The server answers with an error ({status}) since {time}. What you see is from then."),
        "retry_in": _("Next attempt in {seconds} s"),
        "back": _("The server answers again."),
        "error_title": _("These readings cannot be shown"),
        "unknown_answer": _("The server's answer was not understood. Reload the page."),
        "no_data_period": _("No reading in this period."),
        "counter_begun": _("This counter has just begun; its first increase comes with the next hour."),
        "all_devices": _("All devices"),
        "devices_one": _("1 device"),
        "devices_other": _("{count} devices"),
        "devices_limit": _("Choose up to {max}. With none chosen, the first {max} are shown."),
        "devices_full": _("{max} are chosen, which is the limit."),
        "devices_cut": _("The list is cut. Type to search it, or name any device in the address."),
        "in_gateways": _("in {count} gateways"),
        "all_gateways": _("All gateways"),
        "tipo_auto": _("Most used"),
        "tipo_auto_named": _("Most used: {tipo}"),
        "showing_part": _("Showing {shown} of {total} devices. Choose others in the filter."),
        "never_seen": _("no reading yet"),
        "seen": _("last reading {when}"),
        "stale_badge": _("stale"),
        "on_time_badge": _("on time"),
        "than_yesterday": _("{difference} than yesterday"),
        "same_as_yesterday": _("the same as yesterday"),
        "more": _("{value} more"),
        "less": _("{value} less"),
        "day": _("{value} in 24 h"),
        "than_day_before": _("{difference} than the day before"),
        "same_as_day_before": _("the same as the day before"),
        "more_metrics_one": _("1 more reading"),
        "more_metrics_other": _("{count} more readings"),
        "series": _("Series"),
        "time": _("Time"),
        "day_column": _("Day"),
        "range": _("{low} to {high}"),
        "table_cut": _("The table shows the newest {count} rows."),
        "chart_line": _("Line chart by hour, {count} series, from {start} to {end}. The table below holds the same."),
        "chart_bars": _("Bar chart by day, {count} series, from {start} to {end}. The table below holds the same."),
        "mean": _("hourly mean"),
        "sum": _("hourly sum"),
        "counter": _("increase in the hour"),
        "last": _("last value of the hour"),
        "day_mean": _("daily mean"),
        "day_sum": _("daily sum"),
        "day_counter": _("increase in the day"),
        "day_last": _("last value of the day"),
        "band": _("The band runs from the lowest to the highest reading."),
        "band_hover": _("Point at a name to see its lowest and highest readings."),
        "hide_series": _("Hide {name}"),
        "show_series": _("Show {name}"),
        "copied": _("Copied."),
        "copy_failed": _("Select the line and copy it by hand."),
    }


def status_texts() -> dict[str, str]:
    """Those of the line that says how far a page can be trusted."""
    return {key: text for key, text in script_texts().items() if key in STATUS_LINE}
