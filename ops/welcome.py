"""What `make run` prints when the system is ready: where to click, and as whom to sign in."""

from pathlib import Path

from rich.console import Console
from rich.table import Table

from api.issuer.personas import PERSONAS, SERVICE_CLIENT_ID, SERVICE_CLIENT_SECRET
from core.settings import Settings


def welcome(settings: Settings, seconds: float, logs: Path) -> None:
    """Say where to click and how to sign in."""
    console = Console()
    base = f"http://{settings.host}:{settings.port}"
    console.print(f"\n[bold]Kinship is ready[/bold] after {seconds:.1f} s\n")
    console.print(f"  Sign in       {base}/sign-in")
    if settings.environment != "production":
        console.print(f"  GraphiQL      {base}/graphiql")
    console.print(f"  GraphQL       {base}/graphql")
    console.print(f"  Health        {base}/readyz")
    console.print(f"  Logs          {logs}\n", soft_wrap=True)
    if settings.embedded_issuer:
        console.print(personas())
    console.print("\nCtrl-C stops everything.\n")


def personas() -> Table:
    """Who can sign in at the embedded issuer; its secret is published on purpose."""
    table = Table("Persona", "Who it is", "Roles", title="Sign in as", title_justify="left", box=None)
    for persona in PERSONAS:
        name = f"{persona.name_en} {persona.name_zh}"
        table.add_row(name, persona.description_en, ", ".join(sorted(persona.roles)))
    bank = f"The bank's system: client credentials, secret {SERVICE_CLIENT_SECRET}"
    table.add_row(SERVICE_CLIENT_ID, bank, "service")
    return table
