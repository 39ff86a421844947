"""Asks the sandbox with the client of openapi-python-client."""

import os

from balance_gateway_client import AuthenticatedClient
from balance_gateway_client.api.balances import check_sufficiency, list_balances, show_balance
from balance_gateway_client.models import Balance, Batch, Problem, Sufficiency

client = AuthenticatedClient(
    base_url=os.environ["BALANCE_GATEWAY_URL"],
    token=os.environ["BALANCE_GATEWAY_KEY"],
    raise_on_unexpected_status=True,
)

balance = show_balance.sync("ntxpay-br-demo", client=client)
assert isinstance(balance, Balance), balance
print(f"balance {balance.available} {balance.currency}")

batch = list_balances.sync(client=client, account=["ntxpay-br-demo", "ntxpay-mx-demo"])
assert isinstance(batch, Batch), batch
failed = [f"{item.account} {item.problem.code}" for item in batch.errors]
print(f"batch {len(batch.balances)} complete {str(batch.complete).lower()} failed {','.join(failed)}")

check = check_sufficiency.sync("ntxpay-br-demo", client=client, amount="100.00")
assert isinstance(check, Sufficiency), check
print(f"sufficiency {check.amount} {str(check.sufficient).lower()} shortfall {check.shortfall}")

unknown = show_balance.sync("unknown", client=client)
assert isinstance(unknown, Problem), unknown
print(f"problem {unknown.status} {unknown.code}")
