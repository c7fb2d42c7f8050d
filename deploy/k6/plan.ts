// What is sent and what is noted of it, without k6: plain functions, which tests run under Node as well.

/** A line of requests.ndjson. */
export interface PlannedRequest {
  n: number;
  at_us: number;
  d: string;
  path: string;
  type: string;
  body?: string;
  body64?: string;
}

/** What plan.json says of the load. */
export interface PlanDocument {
  rate: number;
  attempts: number;
  namespace: string;
}

/** What there is to know of a reply; status 0 is none. */
export interface Reply {
  status: number;
  body: string;
  errorCode: number;
  error: string;
}

/** k6 numbers its errors: 1101 is a name that leads nowhere, 1212 a connection that was refused. No byte was sent. */
const NOTHING_SENT = [1101, 1212];

/** The metadata of a point. k6 takes texts only. */
export type Noted = Record<string, string>;

export function linesOf(text: string): PlannedRequest[] {
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as PlannedRequest);
}

/**
 * The executor that sends `attempts` requests: at a constant rate, or first rising to it from a fifth.
 *
 * k6 may leave out the iteration at the very end, so there is time for two more; iterations beyond the plan send nothing.
 */
export function scenarioOf(mode: string, plan: PlanDocument) {
  const vus = Math.max(20, Math.ceil(plan.rate / 2));
  const shared = { timeUnit: "1000s", preAllocatedVUs: vus, maxVUs: vus * 4, gracefulStop: "30s" };
  const perThousand = (rate: number) => Math.max(1, Math.round(rate * 1000));
  if (mode === "constant") {
    const seconds = (plan.attempts + 2) / plan.rate;
    return {
      ...shared,
      executor: "constant-arrival-rate" as const,
      rate: perThousand(plan.rate),
      duration: milliseconds(seconds),
    };
  }
  if (mode === "ramping") {
    // A rise from a fifth to all of the rate sends three fifths of what the full rate would: a third of the requests are sent in it.
    const rise = plan.attempts / 3 / (0.6 * plan.rate);
    const full = (plan.attempts - 0.6 * plan.rate * rise + 2) / plan.rate;
    return {
      ...shared,
      executor: "ramping-arrival-rate" as const,
      startRate: perThousand(plan.rate / 5),
      stages: [
        { target: perThousand(plan.rate), duration: milliseconds(rise) },
        { target: perThousand(plan.rate), duration: milliseconds(full) },
      ],
    };
  }
  throw new Error(`MODE=${mode} is neither constant nor ramping.`);
}

function milliseconds(seconds: number): string {
  return `${Math.ceil(seconds * 1000)}ms`;
}

/** What is noted before a request leaves. `now` is Date.now(): the millisecond it leaves in, at the earliest. */
export function attemptOf(request: PlannedRequest, now: number): Noted {
  return { n: String(request.n), d: request.d, intended_us: String(now * 1000) };
}

/**
 * What is noted of its reply. The clock has milliseconds: the reply has come by the end of this one.
 *
 * What a status means for the ledger is not decided here.
 */
export function outcomeOf(request: PlannedRequest, reply: Reply, sent: number, now: number): Noted {
  const noted: Noted = {
    n: String(request.n),
    d: request.d,
    http: String(reply.status),
    sent_us: String(sent * 1000),
    reply_us: String((now + 1) * 1000),
  };
  if (reply.status === 0) {
    noted.error = reply.error || `k6 error ${reply.errorCode}`;
    noted.refused = String(NOTHING_SENT.includes(reply.errorCode));
    return noted;
  }
  try {
    const told = JSON.parse(reply.body) as { run_id?: string; duplicate?: boolean; type?: string };
    if (told.run_id !== undefined) noted.run_id = told.run_id;
    if (told.duplicate !== undefined) noted.duplicate = String(told.duplicate);
    if (told.type !== undefined) noted.problem = told.type;
  } catch {
    noted.error = "the body of the reply is no JSON";
  }
  return noted;
}
