// Asks the sandbox with the client of @hey-api/openapi-ts.
import { checkSufficiency, listBalances, showBalance } from "./hey-api/index";
import { client } from "./hey-api/client.gen";

client.setConfig({ baseUrl: process.env.BALANCE_GATEWAY_URL, auth: process.env.BALANCE_GATEWAY_KEY });
async function main(): Promise<void> {
  const path = { account: "ntxpay-br-demo" };

  const balance = await showBalance({ path, throwOnError: true });
  const available: string = balance.data.available;
  console.log(`balance ${available} ${balance.data.currency}`);

  const batch = await listBalances({ query: { account: ["ntxpay-br-demo", "ntxpay-mx-demo"] }, throwOnError: true });
  const failed = batch.data.errors.map((item) => `${item.account} ${item.problem.code}`);
  console.log(`batch ${batch.data.balances.length} complete ${batch.data.complete} failed ${failed}`);

  const check = await checkSufficiency({ path, query: { amount: "100.00" }, throwOnError: true });
  console.log(`sufficiency ${check.data.amount} ${check.data.sufficient} shortfall ${check.data.shortfall}`);

  const unknown = await showBalance({ path: { account: "unknown" } });
  console.log(`problem ${unknown.error?.status} ${unknown.error?.code}`);
}

void main();
