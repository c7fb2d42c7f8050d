// k6 sends a plan of the suite, so that `meshproof` can prove what became of it:
//
//   meshproof run driven --rate 100 --duration 30 -- k6 run deploy/k6/meshhook.ts
//
// or step by step, see docs/concurrency/k6.md. Needs k6 1.0 or newer, which runs TypeScript as it is.
//
//   MESHPROOF_PLAN     folder with plan.json and requests.ndjson
//   MESHPROOF_TARGET   address of the engine, such as http://127.0.0.1:8080
//   MODE               constant (the default) or ramping arrival rate
//   SECRET             whsec_…: sign each request (Standard Webhooks), where the endpoints ask for it
//   P99_MS             the threshold of the run: 99 % of the requests are answered within so many milliseconds; 500

import crypto from "k6/crypto";
import { SharedArray } from "k6/data";
import encoding from "k6/encoding";
import exec from "k6/execution";
import http from "k6/http";
import { Counter } from "k6/metrics";

import { attemptOf, linesOf, type Noted, outcomeOf, type PlanDocument, type PlannedRequest, scenarioOf } from "./plan.ts";

const folder = __ENV.MESHPROOF_PLAN;
const target = __ENV.MESHPROOF_TARGET;
const secret = __ENV.SECRET;

const plan = JSON.parse(open(`${folder}/plan.json`)) as PlanDocument;
const requests = new SharedArray<PlannedRequest>("requests", () => linesOf(open(`${folder}/requests.ndjson`)));

// One point before each request and one after its reply: from these the ledgers are made.
const attempts = new Counter("meshproof_attempt");
const outcomes = new Counter("meshproof_outcome");
const ended = new Counter("meshproof_ended");

export const options = {
  scenarios: { plan: scenarioOf(__ENV.MODE || "constant", plan) },
  thresholds: {
    http_req_duration: [`p(99)<${__ENV.P99_MS || "500"}`],
    http_req_failed: ["rate<0.01"],
    // What k6 could not begin in time was not sent: the run is then no fair test.
    dropped_iterations: ["count==0"],
  },
  discardResponseBodies: false,
  noConnectionReuse: false,
};

// A conflicting redelivery is refused, as it must be.
http.setResponseCallback(http.expectedStatuses({ min: 200, max: 299 }, 422));

export default function (): void {
  const number = exec.scenario.iterationInTest;
  if (number >= requests.length) return;
  const request = requests[number];
  const body = request.body64 === undefined ? request.body! : encoding.b64decode(request.body64, "std");
  const sent = Date.now();
  note(attempts, attemptOf(request, sent));
  const response = http.post(`${target}${request.path}`, body, {
    headers: { "content-type": request.type, "webhook-id": request.d, ...signature(request.d, body, sent) },
    tags: { name: request.path },
    timeout: "15s",
    redirects: 0,
  });
  const reply = {
    status: response.status,
    body: typeof response.body === "string" ? response.body : "",
    errorCode: response.error_code,
    error: response.error,
  };
  note(outcomes, outcomeOf(request, reply, sent, Date.now()));
}

export function teardown(): void {
  ended.add(1);
}

/** A point with metadata: unlike tags, what is another for each request makes no time series of its own. */
function note(counter: Counter, noted: Noted): void {
  const metadata = exec.vu.metrics.metadata;
  for (const name in noted) metadata[name] = noted[name];
  counter.add(1);
  for (const name in noted) delete metadata[name];
}

function signature(id: string, body: string | ArrayBuffer, now: number): Record<string, string> {
  if (!secret) return {};
  const time = Math.floor(now / 1000);
  const key = encoding.b64decode(secret.replace(/^whsec_/, ""), "std");
  const hmac = crypto.createHMAC("sha256", key);
  hmac.update(`${id}.${time}.`);
  hmac.update(body);
  return { "webhook-timestamp": String(time), "webhook-signature": `v1,${hmac.digest("base64")}` };
}
