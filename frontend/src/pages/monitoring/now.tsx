/** The service at this moment: who answers for how long, and whether all it needs is there. */
import { useEffect, useRef } from "preact/hooks";
import { api, ask } from "../../api/client";
import { useLoad } from "../../api/use-load";
import { dateTime, duration, milliseconds, plural, time } from "../../format";
import { health, status } from "../../store/health";
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

const SAID = { unknown: "Asking …", up: "Up", down: "Does not answer" } as const;

function Status() {
  const told = status.value;
  return (
    <section aria-labelledby="status">
      <h2 id="status">The service</h2>
      <dl class="facts card">
        <dt>State</dt>
        <dd class={health.value}>{SAID[health.value]}</dd>
        <dt>Model</dt>
        <dd>
          {told ? (
            <a href={`/models/versions/${told.model_version}`}>{told.model_version}</a>
          ) : (
            "not known yet"
          )}
          {told && <small> loaded {dateTime(told.model_since)}</small>}
        </dd>
        <dt>Process</dt>
        <dd>
          {told ? `runs for ${duration(told.uptime_seconds)}` : "not known yet"}
          {told && (
            <small>
              {told.cold_start ? ", and had to start for this answer" : ", and was warm"}
            </small>
          )}
        </dd>
      </dl>
    </section>
  );
}

function SystemCheck() {
  const check = useLoad((signal) => ask(api().GET("/system-check", { signal })), []);
  const asked = useRef(false);
  useEffect(() => {
    if (!asked.current || !check.value) return;
    asked.current = false;
    const failed = check.value.checks.filter(({ ok }) => !ok);
    announce(
      failed.length === 0
        ? "The system check found everything in order"
        : `${plural(failed.length, "check")} failed: ${failed.map(({ name }) => name).join(", ")}`,
    );
  }, [check.at]);
  return (
    <section aria-labelledby="check">
      <h2 id="check">System check</h2>
      <Shown of={check} label="Trying each dependency">
        {({ checks }) => (
          <div class="card">
            <ul class="checks">
              {checks.map(({ name, ok, milliseconds: took, detail }) => (
                <li key={name}>
                  <span class={`tag ${ok ? "good" : "bad"}`}>{ok ? "in order" : "fails"}</span>
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
                  asked.current = true;
                  check.reload();
                }}
              >
                Check again
              </button>
              {check.at !== undefined && <small>tried at {time(check.at)}</small>}
            </div>
          </div>
        )}
      </Shown>
    </section>
  );
}
