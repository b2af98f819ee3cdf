"""The catalogue under attack: a file that Stripe would refuse halfway, and what is ours in it."""

from pathlib import Path

import pytest

from onboarding.commands import run
from payments.domains.catalog.sync_file import SHIPPED
from world import World

Env = dict[str, str]


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ('name = ""', "name"),
        ('name = " "', "name"),
        (f'name = "x"\n[product.metadata]\nplan_tier = "{"x" * 501}"', "plan_tier"),
        (f'name = "x"\n[product.metadata]\n{"k" * 41} = "x"', "k" * 41),
        ('name = "x"\n[product.metadata]\n"a[b]" = "x"', "a[b]"),
        ('name = "x"\n[product.metadata]\napp = "theirs"', "app"),
        ('name = "x"\n[product.metadata]\nkey = "another"', "key"),
    ],
)
async def test_what_stripe_would_refuse_halfway_is_refused_before_anything_is_done(
    world: World, env: Env, tmp_path: Path, entry: str, told: str
) -> None:
    file = tmp_path / "catalog.toml"
    changed = SHIPPED.read_text().replace("unit_amount = 2999", "unit_amount = 3499")
    file.write_text(f'{changed}\n[[product]]\nkey = "poster"\nunit_amount = 900\n{entry}\n')
    before = await world.events()
    for command in ("plan", "apply"):
        ran = await run("catalog", command, str(file), **env)
        assert ran.exit_code == 1
        assert f"payments catalog: {file}: " in ran.output
        assert told in ran.output
    assert await world.events() == before
