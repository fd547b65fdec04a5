/** The service now: its state, model and process, and a check of all dependencies. */
import { useEffect, useRef } from "preact/hooks";
import { api, ask } from "../../api/client";
import { useLoad } from "../../api/use-load";
import { dateTime, duration, milliseconds, plural, time } from "../../format";
import { health, status, trouble } from "../../store/health";
import { announce } from "../../ui/announce";
import { Shown } from "../../ui/state";

export function Now() {
  return (
    <div class="columns now">
      <Status />
      <SystemCheck />
    </div>
  );
}

const STATES = { unknown: "Checking …", up: "Up", down: "Down" } as const;

function Status() {
  const reply = status.value;
  return (
    <section aria-labelledby="status">
      <h2 id="status">Service</h2>
      <dl class="facts card">
        <dt>State</dt>
        <dd class={health.value}>
          {STATES[health.value]}
          {trouble.value && ", but its live model needs repair"}
        </dd>
        <dt>Model</dt>
        <dd>
          {reply ? (
            <a href={`/models/versions/${reply.model_version}`}>{reply.model_version}</a>
          ) : (
            "Unknown"
          )}
          {reply && <small> loaded {dateTime(reply.model_since)}</small>}
        </dd>
        <dt>Process</dt>
        <dd>
          {reply ? `Running for ${duration(reply.uptime_seconds)}` : "Unknown"}
          {reply && <small>{reply.cold_start ? ", cold start" : ", warm"}</small>}
        </dd>
      </dl>
    </section>
  );
}

function SystemCheck() {
  const check = useLoad((signal) => ask(api().GET("/system-check", { signal })), []);
  const pressed = useRef(false);
  useEffect(() => {
    if (!pressed.current || !check.value) return;
    pressed.current = false;
    const failed = check.value.checks.filter(({ ok }) => !ok);
    announce(
      failed.length === 0
        ? "System check: all OK"
        : `${plural(failed.length, "check")} failed: ${failed.map(({ name }) => name).join(", ")}`,
    );
  }, [check.at]);
  return (
    <section aria-labelledby="check">
      <h2 id="check">System check</h2>
      <Shown of={check} label="Checking dependencies">
        {({ checks }) => (
          <div class="card">
            <ul class="checks">
              {checks.map(({ name, ok, milliseconds: took, detail }) => (
                <li key={name}>
                  <span class={`tag ${ok ? "good" : "bad"}`}>{ok ? "OK" : "Failed"}</span>
                  <span>{name}</span>
                  <small>{milliseconds(took)}</small>
                  {!ok && <p>{detail}</p>}
                </li>
              ))}
            </ul>
            <div class="row">
              <button
                type="button"
                class="secondary small"
                aria-busy={check.loading}
                onClick={() => {
                  pressed.current = true;
                  check.reload();
                }}
              >
                Check again
              </button>
              {check.at !== undefined && <small>Checked at {time(check.at)}</small>}
            </div>
          </div>
        )}
      </Shown>
    </section>
  );
}
