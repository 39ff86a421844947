// Asks the sandbox with the types of openapi-typescript and the client openapi-fetch.
import createClient from "openapi-fetch";
import type { components, paths } from "./openapi-typescript/schema";

const client = createClient<paths>({
  baseUrl: process.env.BALANCE_GATEWAY_URL,
  headers: { Authorization: `Bearer ${process.env.BALANCE_GATEWAY_KEY}` },
});
async function main(): Promise<void> {
  const path = { account: "ntxpay-br-demo" };

  const balance = await client.GET("/v1/accounts/{account}/balance", { params: { path } });
  if (!balance.data) throw new Error(balance.error.code);
  const available: string = balance.data.available;
  console.log(`balance ${available} ${balance.data.currency}`);

  const batch = await client.GET("/v1/balances", { params: { query: { account: ["ntxpay-br-demo", "ntxpay-mx-demo"] } } });
  if (!batch.data) throw new Error(batch.error.code);
  const failed = batch.data.errors.map((item) => `${item.account} ${item.problem.code}`);
  console.log(`batch ${batch.data.balances.length} complete ${batch.data.complete} failed ${failed}`);

  const check = await client.GET("/v1/accounts/{account}/sufficiency", { params: { path, query: { amount: "100.00" } } });
  if (!check.data) throw new Error(check.error.code);
  console.log(`sufficiency ${check.data.amount} ${check.data.sufficient} shortfall ${check.data.shortfall}`);

  const unknown = await client.GET("/v1/accounts/{account}/balance", { params: { path: { account: "unknown" } } });
  const problem: components["schemas"]["Problem"] | undefined = unknown.error;
  console.log(`problem ${problem?.status} ${problem?.code}`);
}

void main();
