/** Diagnostics: recent requests, versions and settings of one process of the admin function. */
import { useState } from "preact/hooks";
import { api, ask } from "../../api/client";
import { useLoad } from "../../api/use-load";
import { milliseconds, time } from "../../format";
import { Copy } from "../../ui/copy";
import { Scroll } from "../../ui/scroll";
import { Shown } from "../../ui/state";

export function Debug() {
  const [opened, setOpened] = useState(false);
  return (
    <section aria-labelledby="debug">
      <h2 id="debug">Diagnostics</h2>
      <div class="card entries">
        <details onToggle={(event) => event.currentTarget.open && setOpened(true)}>
          <summary>Recent requests, versions and settings of one process</summary>
          {opened && <Process />}
        </details>
      </div>
    </section>
  );
}

function Process() {
  const debug = useLoad((signal) => ask(api().GET("/debug", { signal })), []);
  return (
    <Shown of={debug} label="Loading diagnostics">
      {({ recent_requests: requests, versions, settings }) => (
        <>
          <div class="row apart">
            <p class="hint">
              From one process of the admin function, newest first. Other processes may run, and
              predictions use other functions.
            </p>
            <button
              type="button"
              class="secondary small"
              aria-busy={debug.loading}
              onClick={debug.reload}
            >
              Refresh
            </button>
          </div>
          <div class="recent">
            <Scroll label="Recent requests">
              <table>
                <thead>
                  <tr>
                    <th scope="col">When</th>
                    <th scope="col">Request</th>
                    <th scope="col" class="number">
                      Status
                    </th>
                    <th scope="col" class="number">
                      Duration
                    </th>
                    <th scope="col">ID</th>
                  </tr>
                </thead>
                <tbody>
                  {requests.map((one) => (
                    <tr key={one.request_id}>
                      <td>{time(one.at)}</td>
                      <td>
                        <code>
                          {one.method} {one.path}
                        </code>
                      </td>
                      <td class={`number ${one.status >= 400 ? "bad" : ""}`}>{one.status}</td>
                      <td class="number">{milliseconds(one.ms)}</td>
                      <td>
                        <Copy text={one.request_id} label="request ID" />
                      </td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </Scroll>
          </div>
          <div class="columns">
            <Facts title="Versions" of={versions} />
            <Facts title="Settings" of={settings} />
          </div>
        </>
      )}
    </Shown>
  );
}

const Facts = ({ title, of }: { title: string; of: Record<string, unknown> }) => (
  <div>
    <h3>{title}</h3>
    <dl class="facts">
      {Object.entries(of).flatMap(([name, value]) => [
        <dt key={`${name}: name`}>{name}</dt>,
        <dd key={name}>{textOf(value)}</dd>,
      ])}
    </dl>
  </div>
);

function textOf(value: unknown): string {
  if (value === null || value === "") return "none";
  if (Array.isArray(value)) return value.join(", ") || "none";
  return String(value);
}
