/** The two labels, with their keys. */
import type { Label } from "../../store/decisions";
import { Key } from "./keys";

const LABELS = [
  { label: "clickbait_fake", text: "Clickbait", tone: "bait", key: "1" },
  { label: "clickbait_real", text: "Legitimate", tone: "real", key: "2" },
] as const;

/** Keeps the focus where it is: after a click, the space bar must not press the button again. */
export const still = (event: Event) => event.preventDefault();

export const LabelButtons = ({
  disabled = false,
  onLabel,
}: {
  disabled?: boolean;
  onLabel: (label: Label) => void;
}) => (
  <>
    {LABELS.map(({ label, text, tone, key }) => (
      <button
        key={label}
        type="button"
        class={`judge ${tone}`}
        disabled={disabled}
        onMouseDown={still}
        onClick={() => onLabel(label)}
      >
        {text} <Key name={key} />
      </button>
    ))}
  </>
);
