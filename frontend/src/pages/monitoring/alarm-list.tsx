/** The alarms as a list to open: what each means, and what to do. */
import { useEffect, useRef } from "preact/hooks";
import { config } from "../../api/session";
import { ALARMS, type Alarm } from "./alarms";
import { partsOf } from "./marked";

export function Alarms() {
  const { stack } = config.value;
  return (
    <section aria-labelledby="alarms">
      <h2 id="alarms">Alarms</h2>
      <p class="hint">
        Find the alarm by its name in the message: <code>{stack}-DriftAlarm-1X2Y3Z</code> is{" "}
        <code>DriftAlarm</code>. Each entry says what it means and what to do. If the service runs
        on your own machine, all logs are in <code>.local/logs/functions.log</code>.
      </p>
      <div class="card entries">
        {ALARMS.map((alarm) => (
          <Entry key={alarm.resource} of={alarm} />
        ))}
      </div>
    </section>
  );
}

function Entry({ of: { resource, title, means, do: steps } }: { of: Alarm }) {
  const place = useRef<HTMLDetailsElement>(null);
  // An address that ends in an alarm's name opens that alarm.
  useEffect(() => {
    const box = place.current;
    if (!box || location.hash !== `#${resource}`) return;
    box.open = true;
    box.scrollIntoView();
  }, [resource]);
  return (
    <details id={resource} ref={place}>
      <summary>
        <span>
          {title} <code>{resource}</code>
        </span>
      </summary>
      <p>{means}</p>
      <ol>
        {steps.map((step) => (
          <li key={step}>
            {partsOf(step.replaceAll("STACK", config.value.stack)).map((part) =>
              part.kind === "link" ? (
                <a key={part.text} href={part.href}>
                  {part.text}
                </a>
              ) : part.kind === "code" ? (
                <code key={part.text}>{part.text}</code>
              ) : (
                part.text
              ),
            )}
          </li>
        ))}
      </ol>
    </details>
  );
}
