/** The page's icons: 24 x 24, in the colour of the text. */
import type { ComponentChildren } from "preact";

const icon = (drawing: ComponentChildren) => (
  <svg
    class="icon"
    viewBox="0 0 24 24"
    width="20"
    height="20"
    fill="none"
    stroke="currentColor"
    stroke-width="1.8"
    stroke-linecap="round"
    stroke-linejoin="round"
    aria-hidden="true"
  >
    {drawing}
  </svg>
);

export const OverviewIcon = () => icon(<path d="M4 12 12 4l8 8M6.5 10v9.5h11V10" />);
export const ClassifyIcon = () =>
  icon(
    <>
      <rect x="3.5" y="5.5" width="17" height="13" rx="2.5" />
      <circle cx="9" cy="10.5" r="1.6" />
      <path d="m5 17 5-4 3 2.5 3.5-3.5 3.5 3.5" />
    </>,
  );
export const BatchIcon = () =>
  icon(
    <>
      <rect x="3.5" y="8.5" width="13" height="11" rx="2" />
      <path d="M7.5 5h10.5a2.5 2.5 0 0 1 2.5 2.5V16" />
    </>,
  );
export const ReviewIcon = () => icon(<path d="m4 7 2 2 3.5-4M4 16l2 2 3.5-4M13 7.5h7m-7 9h7" />);
export const DataIcon = () => icon(<path d="M4 20V4m0 16h16M8 16v-4m4 4V8m4 8v-6" />);
export const ModelsIcon = () =>
  icon(<path d="m12 3.5 8 4.5-8 4.5-8-4.5zM4 12l8 4.5 8-4.5M4 16l8 4.5 8-4.5" />);
export const MonitoringIcon = () => icon(<path d="M3 12h4l2.5-7 5 14 2.5-7h4" />);
export const KeyIcon = () =>
  icon(
    <>
      <circle cx="8" cy="15" r="4" />
      <path d="m11 12 8.5-8.5M16 7l3 3" />
    </>,
  );
export const CopyIcon = () =>
  icon(
    <>
      <rect x="8.5" y="8.5" width="11" height="11" rx="2" />
      <path d="M15.5 5.5a1 1 0 0 0-1-1h-9a1 1 0 0 0-1 1v9a1 1 0 0 0 1 1" />
    </>,
  );
export const UploadIcon = () =>
  icon(<path d="M12 16V4.5m0 0-4.5 4.5M12 4.5l4.5 4.5M4.5 16v3.5h15V16" />);
export const AutoIcon = () =>
  icon(
    <>
      <circle cx="12" cy="12" r="7.5" />
      <path d="M12 4.5a7.5 7.5 0 0 1 0 15z" fill="currentColor" />
    </>,
  );
export const SunIcon = () =>
  icon(
    <>
      <circle cx="12" cy="12" r="3.5" />
      <path d="M12 3v2m0 14v2M3 12h2m14 0h2M5.6 5.6 7 7m10 10 1.4 1.4M5.6 18.4 7 17M17 7l1.4-1.4" />
    </>,
  );
export const MoonIcon = () => icon(<path d="M19.5 14A8 8 0 0 1 10 4.5a8 8 0 1 0 9.5 9.5z" />);
