/** A choice: a notification of the browser when something ends while its tab is hidden. */
import { useEffect, useState } from "preact/hooks";

function notify(text: string): void {
  if (!document.hidden) return;
  try {
    const shown = new Notification(text, { body: document.title, icon: "/favicon.svg" });
    shown.onclick = () => {
      window.focus();
      shown.close();
    };
  } catch {
    // Chrome on Android lets only service workers notify; the tab's title still changes.
  }
}

/** `over`: how it ended, null while it goes on. Shows nothing where browsers cannot notify. */
export function Notify({ over }: { over: string | null }) {
  const [chosen, setChosen] = useState(false);
  const [refused, setRefused] = useState(false);
  useEffect(() => {
    if (over && chosen) notify(over);
  }, [over]);
  if (over || !("Notification" in window)) return null;
  const choose = async (wanted: boolean) => {
    // At once: what is drawn anew while the browser asks must not undo the choice.
    setChosen(wanted);
    setRefused(false);
    if (!wanted || (await Notification.requestPermission()) === "granted") return;
    setChosen(false);
    setRefused(true);
  };
  return (
    <p class="notify">
      <label class="check">
        <input
          type="checkbox"
          checked={chosen}
          onChange={(event) => void choose(event.currentTarget.checked)}
        />
        Notify me when it ends
      </label>
      {refused && (
        <small role="status">
          The browser does not allow notifications of this page. Allow them in its settings.
        </small>
      )}
    </p>
  );
}
