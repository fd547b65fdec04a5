/** The state of the service at a glance, and a place to classify an image. */
import { api, ask, type Schemas } from "../../api/client";
import { member, offers } from "../../api/session";
import { type Loaded, useLoad } from "../../api/use-load";
import { count, dateTime, duration, milliseconds, percent } from "../../format";
import { classified } from "../../store/classified";
import { health, status, trouble } from "../../store/health";
import { info } from "../../store/model";
import { Figure, Figures } from "../../ui/figure";
import { part } from "../../ui/later";
import { pages } from "../../ui/pages";
import { Predictions } from "../../ui/predictions";
import { Empty, Failure, Shown } from "../../ui/state";
import { Trouble } from "../../ui/trouble";
import { Choose } from "../classify/choose";

const Result = part(() => import("../classify/verdicts").then((module) => module.Result));

const NOW_MS = 60_000;
const RECENT_MS = 15_000;
const SHOWN = 8;

type Metrics = Schemas["Metrics"];

/** Sums since midnight in the reader's time zone. */
function today(metrics: Metrics): { predictions: number; clickbait: number } {
  const midnight = new Date().setHours(0, 0, 0, 0);
  const points = metrics.points.filter((point) => new Date(point.at).getTime() >= midnight);
  const sum = (of: "clickbait" | "legitimate") => points.reduce((n, point) => n + point[of], 0);
  const clickbait = sum("clickbait");
  return { predictions: clickbait + sum("legitimate"), clickbait };
}

function Live() {
  const live = useLoad(
    async (signal) =>
      member.value && offers("/models")
        ? (await ask(api().GET("/promotions", { params: { query: { limit: 1 } }, signal }))).live
        : null,
    [member.value],
  );
  const up = health.value;
  const version = status.value?.model_version;
  const accuracy = (info.value?.metrics as { accuracy?: { value: number | null } } | undefined)
    ?.accuracy?.value;
  return (
    <>
      <Figure
        label="Service"
        value={up === "up" ? "Up" : up === "down" ? "Down" : "…"}
        tone={up === "up" ? "good" : up === "down" ? "bad" : undefined}
        note={
          up === "down"
            ? "No response"
            : status.value && `Up for ${duration(status.value.uptime_seconds)}`
        }
      />
      {member.value ? (
        <Figure
          label="Live model"
          tone={trouble.value ? "warn" : undefined}
          value={
            version && offers("/models") ? (
              <a href={`/models/versions/${version}`}>{version.slice(-6)}</a>
            ) : (
              (version?.slice(-6) ?? "…")
            )
          }
          note={
            live.value?.at
              ? `Live since ${dateTime(live.value.at)}`
              : accuracy
                ? `${percent(accuracy)} right on test images`
                : version
          }
        />
      ) : (
        <Figure
          label="How often it is right"
          value={accuracy ? percent(accuracy) : "…"}
          note="On images that it had not seen before"
        />
      )}
    </>
  );
}

function Now({ day }: { day: Loaded<Metrics | null> }) {
  const sums = day.value && today(day.value);
  const rate = day.value?.totals.error_rate;
  const latency = day.value?.totals.latency_ms.p95;
  return (
    <>
      <Figure label="Predictions today" value={count(sums?.predictions)} />
      <Figure
        label="Clickbait today"
        value={percent(sums && sums.predictions > 0 ? sums.clickbait / sums.predictions : null)}
        note={sums && `${count(sums.clickbait)} of ${count(sums.predictions)}`}
      />
      <Figure
        label="Errors, last 24 h"
        value={percent(rate)}
        tone={rate && rate > 0.05 ? "warn" : undefined}
        note={`of ${count(day.value?.totals.requests)} requests`}
      />
      <Figure
        label="Response time"
        value={milliseconds(latency)}
        note="95% of requests, last 24 h"
      />
    </>
  );
}

function Recent() {
  const recent = useLoad(
    (signal) => ask(api().GET("/predictions", { params: { query: { limit: SHOWN } }, signal })),
    [],
    RECENT_MS,
  );
  return (
    <Shown of={recent} label="Loading recent predictions">
      {({ items }) =>
        items.length === 0 ? (
          <Empty title="No predictions yet">
            <p>Drop an image to make the first one.</p>
          </Empty>
        ) : (
          <>
            <Predictions of={items} label="Table of recent predictions" />
            <p>
              <a href="/history">All predictions</a>
            </p>
          </>
        )
      }
    </Shown>
  );
}

/** A failure stands beside the list of figures, which may hold figures only. */
function Numbers() {
  const seen = member.value && offers("/monitoring");
  const day = useLoad(
    async (signal) =>
      seen
        ? ask(
            api().GET("/metrics", {
              params: { query: { window: "24h", functions: false } },
              signal,
            }),
          )
        : null,
    [seen],
    NOW_MS,
  );
  return (
    <div class="numbers">
      <Trouble>
        <p>
          Make this version or another one live on the page{" "}
          <a href="/models?show=versions">Models</a>.
        </p>
      </Trouble>
      <Figures>
        <Live />
        {seen && !(day.problem && !day.value) && <Now day={day} />}
      </Figures>
      {seen && day.problem && <Failure problem={day.problem} retry={day.reload} />}
    </div>
  );
}

function Places() {
  return (
    <section aria-labelledby="pages">
      <h2 id="pages">What is where</h2>
      <ul class="pages">
        {pages()
          .filter(({ about }) => about)
          .map(({ path, name, about }) => (
            <li key={path}>
              <a href={path}>
                <strong>{name}</strong>: {about}
              </a>
            </li>
          ))}
      </ul>
    </section>
  );
}

export default function Overview() {
  const all = classified.value;
  const inside = member.value;
  const [newest] = all;
  return (
    <>
      <h1 tabIndex={-1}>Overview</h1>
      <div class="overview">
        <div class="columns">
          <section aria-labelledby="ask">
            <h2 id="ask">Is it clickbait?</h2>
            <Choose />
            {newest && <Result key={newest.id} of={newest} brief />}
            {newest && (
              <p>
                <a href="/classify">
                  {all.length > 1 ? `See all ${all.length} images` : "See more"} from this session
                </a>
              </p>
            )}
          </section>
          {!inside && <Places />}
          {inside && offers("/monitoring") && (
            <section class="recent-asked" aria-labelledby="recent">
              <h2 id="recent">Recent predictions</h2>
              <Recent />
            </section>
          )}
        </div>
        <Numbers />
        {inside && <Places />}
      </div>
    </>
  );
}
