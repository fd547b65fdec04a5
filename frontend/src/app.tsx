/** The page's frame: where one is, where one can go, and whether the service is up. */
import { effect } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";
import { ErrorBoundary, LocationProvider, lazy, Route, Router, useLocation } from "preact-iso";
import { asProblem } from "./api/problem";
import { config, forgetToken, token } from "./api/session";
import Overview from "./pages/overview";
import { health, watchHealth } from "./store/health";
import { Announcer, announce } from "./ui/announce";
import {
  BatchIcon,
  ClassifyIcon,
  DataIcon,
  KeyIcon,
  ModelsIcon,
  MonitoringIcon,
  OverviewIcon,
} from "./ui/icons";
import { Empty, Failure } from "./ui/state";

const Classify = lazy(() => import("./pages/classify"));
const Batch = lazy(() => import("./pages/batch"));
const Data = lazy(() => import("./pages/data"));
const Models = lazy(() => import("./pages/models"));
const Version = lazy(() => import("./pages/models/version"));
const Run = lazy(() => import("./pages/models/run"));
const Monitoring = lazy(() => import("./pages/monitoring"));

const PLACES = [
  { path: "/", name: "Overview", icon: OverviewIcon },
  { path: "/classify", name: "Classify", icon: ClassifyIcon },
  { path: "/batch", name: "Batch", icon: BatchIcon },
  { path: "/data", name: "Data", icon: DataIcon },
  { path: "/models", name: "Models", icon: ModelsIcon },
  { path: "/monitoring", name: "Monitoring", icon: MonitoringIcon },
] as const;

const isAt = (place: string, path: string): boolean =>
  place === "/" ? path === "/" : path === place || path.startsWith(`${place}/`);

function Navigation() {
  const { path } = useLocation();
  return (
    <nav class="places" aria-label="Pages">
      <ul>
        {PLACES.map(({ path: place, name, icon: Icon }) => (
          <li key={place}>
            <a href={place} {...(isAt(place, path) ? { "aria-current": "page" as const } : {})}>
              <Icon />
              <span>{name}</span>
            </a>
          </li>
        ))}
      </ul>
    </nav>
  );
}

const HEALTH = {
  unknown: "asking the service",
  up: "the service is up",
  down: "the service does not answer",
} as const;

function Header() {
  const state = health.value;
  return (
    <header class="top">
      <a class="brand" href="/">
        <img src="/favicon.svg" alt="" width="28" height="28" />
        <span>Clickbait classifier</span>
      </a>
      <Navigation />
      <div class="row">
        <span class={`health ${state}`} title={HEALTH[state]}>
          <span class="unseen">{HEALTH[state]}</span>
        </span>
        {token.value && (
          <button
            type="button"
            class="quiet small"
            title="This tab has the admin’s token: forget it"
            onClick={() => {
              forgetToken();
              announce("The token is forgotten");
            }}
          >
            <KeyIcon />
            <span>Forget token</span>
          </button>
        )}
      </div>
    </header>
  );
}

/** Give the tab the name of the page that is shown; returns its heading. */
function named(): HTMLElement | null {
  const heading = document.querySelector<HTMLElement>("main h1");
  const name = heading?.textContent;
  document.title = name ? `${name} · Clickbait classifier` : "Clickbait classifier";
  return heading;
}

function Pages() {
  const [fault, setFault] = useState<Error | null>(null);
  const { path } = useLocation();
  useEffect(() => setFault(null), [path]);
  useEffect(() => void named(), []);
  if (fault) {
    return <Failure problem={asProblem(fault, location.origin)} retry={() => location.reload()} />;
  }
  return (
    <ErrorBoundary onError={setFault}>
      {/* Whoever goes on to another page begins at its beginning, as with a page that loads. */}
      <Router onLoadEnd={named} onRouteChange={() => named()?.focus({ preventScroll: true })}>
        <Route path="/" component={Overview} />
        <Route path="/classify" component={Classify} />
        <Route path="/batch" component={Batch} />
        <Route path="/batch/:batch" component={Batch} />
        <Route path="/data" component={Data} />
        <Route path="/models" component={Models} />
        <Route path="/models/runs/:run" component={Run} />
        <Route path="/models/versions/:version" component={Version} />
        <Route path="/monitoring" component={Monitoring} />
        <Route default component={NotFound} />
      </Router>
    </ErrorBoundary>
  );
}

function NotFound() {
  return (
    <>
      <h1 tabIndex={-1}>No such page</h1>
      <Empty title="Nothing is at this address">
        <p>
          It may have been cut off on its way here. <a href="/">The overview</a> is a good place to
          go on.
        </p>
      </Empty>
    </>
  );
}

export function App() {
  useEffect(() => watchHealth(), []);
  useEffect(
    () =>
      effect(() => {
        if (health.value === "down") announce(HEALTH.down);
      }),
    [],
  );
  return (
    <LocationProvider>
      <a class="skip" href="#main">
        Skip to the content
      </a>
      <Header />
      <main id="main" tabIndex={-1}>
        <Pages />
      </main>
      <footer class="bottom">
        <a href={`${config.value.api}/docs`} target="_blank" rel="noreferrer">
          API documentation
        </a>
      </footer>
      <Announcer />
    </LocationProvider>
  );
}
