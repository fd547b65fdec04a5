/** Traffic of the last hour, day or week; refreshes by itself. */

import { useEffect, useRef } from "preact/hooks";
import { useLocation } from "preact-iso";
import { api, ask, type Schemas } from "../../api/client";
import { useLoad } from "../../api/use-load";
import { Plot, type PlotProps } from "../../charts/plot";
import { count, milliseconds, percent, time } from "../../format";
import { announce } from "../../ui/announce";
import { Figure, Figures } from "../../ui/figure";
import { Empty, Shown } from "../../ui/state";
import { Drift } from "./drift";
import { Functions } from "./functions";
import { seriesOf, summary, WINDOWS, windowOf } from "./series";

type Metrics = Schemas["Metrics"];

export function Traffic() {
  const { query } = useLocation();
  const { window, every } = windowOf(query.window);
  const metrics = useLoad(
    (signal) => ask(api().GET("/metrics", { params: { query: { window } }, signal })),
    [window],
    every,
  );
  // The last window stays until the new one is loaded: nothing jumps.
  const last = useRef<Metrics | undefined>(undefined);
  if (metrics.value) last.current = metrics.value;
  const value = metrics.value ?? last.current;
  const shown = value?.window;
  useEffect(() => {
    if (value) announce(`${windowOf(value.window).name}: ${summary(value)}`);
  }, [shown]);
  return (
    <section aria-labelledby="traffic">
      <div class="row apart">
        <h2 id="traffic">Traffic</h2>
        <nav class="tabs" aria-label="Period">
          {WINDOWS.map((one) => (
            <a
              key={one.window}
              href={`/monitoring?window=${one.window}`}
              {...(one.window === window ? { "aria-current": "true" as const } : {})}
            >
              {one.name}
            </a>
          ))}
        </nav>
      </div>
      <Shown of={{ ...metrics, value }} label="Loading metrics">
        {(loaded) => (
          <div class={`traffic ${loaded.window === window ? "" : "waiting"}`}>
            <Totals of={loaded.totals} />
            <Charts of={loaded} />
            <p class="hint">
              {metrics.at === undefined ? "Loading …" : `As of ${time(metrics.at)}`}. Refreshes
              every {every / 1000} s. Requests and errors are of the functions predict, batch and
              worker; latency is of predict.
            </p>
            <Functions of={loaded.functions} />
            <Drift of={loaded.drift} />
          </div>
        )}
      </Shown>
    </section>
  );
}

function Totals({ of }: { of: Metrics["totals"] }) {
  const { requests, client_errors, faults, cold_starts, clickbait, legitimate, uncertain } = of;
  const missing = of.not_logged;
  const { latency_ms: latency, shares } = of;
  const predictions = clickbait + legitimate;
  const ofRequests = (n: number, whose = "") =>
    requests > 0 ? `${percent(n / requests)} of requests${whose}` : undefined;
  return (
    <Figures>
      <Figure
        label="Requests"
        value={count(requests)}
        tone={missing > 0 ? "warn" : undefined}
        note={`${count(predictions)} predictions${missing > 0 ? `, ${count(missing)} missing from history and drift` : ""}`}
      />
      <Figure
        label="Latency, p95"
        value={milliseconds(latency.p95)}
        note={`p50 ${milliseconds(latency.p50)}, p99 ${milliseconds(latency.p99)}`}
      />
      <Figure
        label="Client errors, 4xx"
        value={count(client_errors)}
        note={ofRequests(client_errors, ", caused by callers")}
      />
      <Figure
        label="Faults, 5xx"
        value={count(faults)}
        tone={faults > 0 ? "bad" : undefined}
        note={ofRequests(faults, ", caused by the service")}
      />
      <Figure
        label="Clickbait"
        value={<span class="bait">{percent(shares.clickbait)}</span>}
        note={`${count(clickbait)} predictions`}
      />
      <Figure
        label="Legitimate"
        value={<span class="real">{percent(shares.legitimate)}</span>}
        note={`${count(legitimate)} predictions`}
      />
      <Figure
        label="Uncertain"
        value={percent(shares.uncertain)}
        note={`${count(uncertain)} predictions`}
      />
      <Figure label="Cold starts" value={count(cold_starts)} note={ofRequests(cold_starts)} />
    </Figures>
  );
}

function Charts({ of }: { of: Metrics }) {
  if (of.totals.requests === 0) {
    return (
      <Empty title="No requests in this period">
        <p>
          <a href="/classify">Classify an image</a>, and it shows up here within a minute. Or choose
          a longer period.
        </p>
      </Empty>
    );
  }
  const { x, ...lines } = seriesOf(of);
  const per = of.step_seconds === 60 ? "minute" : "hour";
  const { totals } = of;
  const first = x[0] ?? 0;
  const half = of.step_seconds / 2; // The bars at both ends are drawn whole.
  const axis = { x, time: true, xRange: [first - half, (x.at(-1) ?? 0) + half] } as const;
  return (
    <div class="tiles charts">
      <Chart
        {...axis}
        title={`Requests per ${per}`}
        label={`Requests per ${per}: ${count(totals.requests)} in all, ${count(totals.cold_starts)} of them with a cold start.`}
        yFormat={wholes}
        series={[
          { label: "Requests", values: lines.requests, colour: "accent", kind: "bars" },
          { label: "Cold starts", values: lines.coldStarts, colour: "bait", kind: "points" },
        ]}
      />
      <Chart
        {...axis}
        title="Latency (log scale)"
        yLog
        label={`Latency per ${per}: half of the requests take ${milliseconds(totals.latency_ms.p50)} or less, 95 in 100 ${milliseconds(totals.latency_ms.p95)}, 99 in 100 ${milliseconds(totals.latency_ms.p99)}.`}
        yFormat={milliseconds}
        series={[
          { label: "p50", values: lines.p50, colour: "real" },
          { label: "p95", values: lines.p95, colour: "accent" },
          { label: "p99", values: lines.p99, colour: "muted", dashed: true },
        ]}
      />
      <Chart
        {...axis}
        title={`Errors per ${per}`}
        label={`Errors per ${per}: ${count(totals.client_errors)} client errors and ${count(totals.faults)} faults in all.`}
        yFormat={wholes}
        series={[
          {
            label: "Client errors, 4xx",
            values: lines.clientErrors,
            colour: "unsure",
            kind: "bars",
          },
          { label: "Faults, 5xx", values: lines.faults, colour: "bad", kind: "points" },
        ]}
      />
      <Chart
        {...axis}
        title="Verdicts"
        label={`Shares of the predictions by ${per}: ${percent(totals.shares.clickbait)} clickbait, ${percent(totals.shares.legitimate)} legitimate, ${percent(totals.shares.uncertain)} uncertain in all.`}
        yRange={[0, 1]}
        yFormat={(value) => percent(value, 0)}
        series={[
          { label: "Clickbait", values: lines.clickbait, colour: "bait" },
          { label: "Legitimate", values: lines.legitimate, colour: "real" },
          { label: "Uncertain", values: lines.uncertain, colour: "unsure", dashed: true },
        ]}
      />
    </div>
  );
}

/** Counts have no halves: on a short axis they would appear twice. */
const wholes = (value: number) => (Number.isInteger(value) ? count(value) : "");

const Chart = ({ title, ...plot }: { title: string } & PlotProps) => (
  <article class="card">
    <h3>{title}</h3>
    <Plot {...plot} height={210} />
  </article>
);
