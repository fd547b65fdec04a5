/** Goes from the system's colours to light, to dark, and back. */
import { chooseScheme, SCHEMES, scheme } from "../store/scheme";
import { announce } from "./announce";
import { AutoIcon, MoonIcon, SunIcon } from "./icons";

const LOOKS = {
  auto: { icon: AutoIcon, text: "as your system" },
  light: { icon: SunIcon, text: "light" },
  dark: { icon: MoonIcon, text: "dark" },
} as const;

export function SchemeButton() {
  const { icon: Icon, text } = LOOKS[scheme.value];
  const label = `Colours: ${text}`;
  return (
    <button
      type="button"
      class="quiet small"
      title={`${label}. Press for the next.`}
      aria-label={label}
      onClick={() => {
        const next = SCHEMES[(SCHEMES.indexOf(scheme.value) + 1) % SCHEMES.length] ?? "auto";
        chooseScheme(next);
        announce(`Colours: ${LOOKS[next].text}`);
      }}
    >
      <Icon />
    </button>
  );
}
