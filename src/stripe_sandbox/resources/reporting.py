"""Report types, and runs that make a file of them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from stripe_sandbox.contract.errors import invalid, missing, not_simulated
from stripe_sandbox.contract.responses import Body
from stripe_sandbox.engine.calls import require_simulated
from stripe_sandbox.engine.registry import Resource
from stripe_sandbox.engine.work import Work
from stripe_sandbox.flows import reports
from stripe_sandbox.resources.files import store

_DAY = 24 * 3600
_START_OF_DATA = 1_293_840_000  # the year 2011
_TAKES = frozenset({"currency", "interval_end", "interval_start"})


@dataclass(frozen=True, slots=True)
class _Report:
    """One type, with the columns that it has in their order."""

    name: str
    rows: Callable[[Work, reports.Query], Iterator[reports.Row]]
    columns: str


_TYPES = {
    "balance.summary.1": _Report(
        "Balance summary", reports.balance_summary, "category description net_amount currency"
    ),
    "balance_change_from_activity.itemized.3": _Report(
        "Itemized balance change from activity",
        reports.activity,
        "balance_transaction_id created_utc created available_on_utc available_on currency gross"
        " fee net reporting_category source_id description customer_facing_amount"
        " customer_facing_currency customer_id charge_id payment_intent_id charge_created_utc"
        " charge_created payment_method_type card_brand card_funding card_country",
    ),
    "payouts.itemized.3": _Report(
        "Itemized payouts",
        reports.payouts,
        "payout_id effective_at_utc effective_at currency gross fee net reporting_category"
        " balance_transaction_id description payout_expected_arrival_date payout_status"
        " payout_type payout_description payout_destination_id",
    ),
}


def show_types(work: Work) -> None:
    for id, report in _TYPES.items():
        work.create(
            "reporting.report_type",
            id=id,
            data_available_end=_end_of_data(work),
            data_available_start=_START_OF_DATA,
            default_columns=report.columns.split(),
            name=report.name,
            version=int(id.rpartition(".")[2]),
        )


report_types = Resource(
    "reporting.report_type",
    id_prefix="",
    label="report type",
    param="report_type",
    refresh=show_types,
)
report_runs = Resource("reporting.report_run", id_prefix="frr", label="report run")


@report_runs.on("post", "/v1/reporting/report_runs", takes="parameters report_type")
def create(work: Work, params: Body) -> Body:
    id, parameters = params["report_type"], params.get("parameters", {})
    if id not in _TYPES:
        raise not_simulated(f"the report type {id}")
    by_category = {"reporting_category"} if ".itemized." in id else frozenset()
    require_simulated(parameters, _TAKES | by_category, where=id)
    _require_interval(work, parameters)
    run = work.create("reporting.report_run", report_type=id, status="pending")
    work.change(run, parameters=parameters)
    work.settle_later("report_run.make", run)
    return run


@report_runs.job("report_run.make")
def make(work: Work, run: Body) -> None:
    asked, report = run["parameters"], _TYPES[run["report_type"]]
    query = reports.Query(
        asked["interval_start"],
        asked["interval_end"],
        asked.get("currency"),
        asked.get("reporting_category"),
    )
    content = reports.as_csv(report.rows(work, query), report.columns.split())
    file = store(work, content, filename=f"{run['id']}.csv", purpose="finance_report_run")
    work.change(run, status="succeeded", succeeded_at=work.now, result=dict(file))
    work.emit("reporting.report_run.succeeded", run)


def _end_of_data(work: Work) -> int:
    """The end of the day, so that what was just paid can be reported."""
    return (work.now // _DAY + 1) * _DAY


def _require_interval(work: Work, parameters: Body) -> None:
    for name in ("interval_start", "interval_end"):
        param = f"parameters[{name}]"
        if name not in parameters:
            raise missing(param)
        if not _START_OF_DATA <= parameters[name] <= _end_of_data(work):
            text = f"{name} must be between {_START_OF_DATA} and {_end_of_data(work)}."
            raise invalid(text, param=param)
    if parameters["interval_start"] >= parameters["interval_end"]:
        text = "interval_start must be before interval_end."
        raise invalid(text, param="parameters[interval_start]")
