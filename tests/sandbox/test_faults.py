"""Faults on demand: before the work and after it."""

import httpx2
import pytest
import stripe

from stripe_sandbox.testing import Bench


async def fault(bench: Bench, **what: object) -> None:
    assert (await bench.http.post("/_sandbox/faults", json=what)).status_code == 201


async def create(bench: Bench, key: str = "k") -> httpx2.Response:
    headers = {"Idempotency-Key": key}
    return await bench.http.post("/v1/customers", data={"name": "A"}, headers=headers)


async def count(bench: Bench) -> int:
    return len((await bench.stripe.v1.customers.list_async()).data)


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_fault_before_the_work_does_nothing_and_keeps_nothing(
    bench: Bench, status: int
) -> None:
    await fault(bench, method="POST", path="/v1/customers", status=status)
    assert (await create(bench)).status_code == status
    assert await count(bench) == 0
    again = await create(bench)
    assert (again.status_code, "idempotent-replayed" in again.headers) == (200, False)


async def test_a_500_after_the_work_is_kept_as_stripe_keeps_it(bench: Bench) -> None:
    await fault(bench, when="after", status=500, method="POST")
    assert (await create(bench)).status_code == 500
    assert await count(bench) == 1
    again = await create(bench)
    assert (again.status_code, again.headers["idempotent-replayed"]) == (500, "true")
    assert await count(bench) == 1


async def test_a_connection_cut_after_the_work_loses_only_the_answer(bench: Bench) -> None:
    await fault(bench, when="after", cut=True, method="POST")
    with pytest.raises(httpx2.RemoteProtocolError):
        await create(bench)
    again = await create(bench)
    assert (again.status_code, again.headers["idempotent-replayed"]) == (200, "true")
    assert await count(bench) == 1


async def test_a_connection_cut_before_the_work_is_an_error_of_the_sdk(bench: Bench) -> None:
    await fault(bench, cut=True, method="POST")
    with pytest.raises(stripe.APIConnectionError):
        await bench.stripe.v1.customers.create_async()
    assert await count(bench) == 0


async def test_the_sdk_retries_through_faults(bench: Bench) -> None:
    await fault(bench, cut=True, method="POST")
    await fault(bench, status=500, method="POST")
    customer = await bench.stripe.v1.customers.create_async({}, {"max_network_retries": 2})
    assert (await bench.stripe.v1.customers.retrieve_async(customer.id)).id == customer.id


async def test_a_fault_is_for_the_calls_it_names_and_as_often_as_it_says(bench: Bench) -> None:
    await fault(bench, method="GET", path="/v1/customers", status=429, times=2)
    assert (await create(bench)).status_code == 200
    assert (await bench.http.get("/v1/charges")).status_code == 200
    statuses = [(await bench.http.get("/v1/customers/cus_x")).status_code for _ in range(3)]
    assert statuses == [429, 429, 404]


async def test_a_rate_limit_is_the_sdks_own_error(bench: Bench) -> None:
    await fault(bench, status=429)
    with pytest.raises(stripe.RateLimitError):
        await bench.stripe.v1.customers.list_async()


async def test_faults_are_taken_back(bench: Bench) -> None:
    await fault(bench, status=500, times=9)
    assert (await bench.http.delete("/_sandbox/faults")).status_code == 204
    assert (await create(bench)).status_code == 200


async def test_a_fault_that_makes_no_sense_is_refused(bench: Bench) -> None:
    for wrong in ({"status": 200}, {"times": 0}, {"wen": "after"}):
        assert (await bench.http.post("/_sandbox/faults", json=wrong)).status_code == 400
