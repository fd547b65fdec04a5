/** The alarms in a list to open: what each means, and what to do. */
import { useEffect, useRef } from "preact/hooks";
import { ALARMS, type Alarm } from "./alarms";
import { partsOf } from "./marked";

export function Alarms() {
  return (
    <section aria-labelledby="alarms">
      <h2 id="alarms">What each alarm means</h2>
      <p class="hint">
        A message from CloudWatch names its alarm, such as <code>clickbait-DriftAlarm-1X2Y3Z</code>:
        here it is <code>DriftAlarm</code>. The commands are for a stack that is called{" "}
        <code>clickbait</code>; on this machine all functions write to{" "}
        <code>.local/logs/functions.log</code>.
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
  // An address that ends in an alarm's name shows that alarm.
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
            {partsOf(step).map((part) =>
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
