/** The frame of every page: navigation, sign-out, and whether the service is up. */
import { effect, signal } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";
import { ErrorBoundary, LocationProvider, Route, Router, useLocation } from "preact-iso";
import { asProblem } from "./api/problem";
import {
  admin,
  config,
  forgetToken,
  member,
  offers,
  signingIn,
  token,
  usesTokens,
} from "./api/session";
import Classify from "./pages/classify";
import Overview from "./pages/overview";
import { health, trouble, watchHealth } from "./store/health";
import { Announcer, announce } from "./ui/announce";
import { KeyIcon } from "./ui/icons";
import { later, part, prefetch } from "./ui/later";
import { pages } from "./ui/pages";
import { SchemeButton } from "./ui/scheme-button";
import { Empty, Failure } from "./ui/state";
import { Stray } from "./ui/stray";
import { setTitle } from "./ui/tab-title";

const Batch = later("Batch", () => import("./pages/batch"));
const Review = later("Review", () => import("./pages/review"));
const History = later("History", () => import("./pages/history"));
const Data = later("Data", () => import("./pages/data"));
const Models = later("Models", () => import("./pages/models"));
const Version = later("Version", () => import("./pages/models/version"));
const Run = later("Run", () => import("./pages/models/run"));
const Keys = later("Keys", () => import("./pages/keys"));
const Monitoring = later("Monitoring", () => import("./pages/monitoring"));

const loadSignIn = () => import("./ui/sign-in");
const SignIn = part(
  () => loadSignIn().then((module) => module.SignIn),
  () => null,
);

const quietly = (load: () => Promise<unknown>) => ({
  preload: () =>
    load().then(
      () => undefined,
      () => undefined,
    ),
});

/** The code that shows a verdict, on Overview and Classify. */
const Verdicts = quietly(() => import("./pages/classify/verdicts"));

/** The code of the charts that several pages draw. */
const Charts = quietly(() => import("./charts/drawn"));

const isAt = (place: string, path: string): boolean =>
  place === "/" ? path === "/" : path === place || path.startsWith(`${place}/`);

function Navigation() {
  const { path } = useLocation();
  return (
    <nav class="places" aria-label="Pages">
      <ul>
        {pages().map(({ path: place, name, icon: Icon }) => (
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
  unknown: "Checking the service",
  up: "The service is up",
  trouble: "The service is up, but its live model needs repair",
  down: "The service is down",
} as const;

function Header() {
  const { path } = useLocation();
  const state = trouble.value ? "trouble" : health.value;
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
        <SchemeButton />
        {admin.value && offers("/keys") && (
          <a
            class="small"
            href="/keys"
            {...(isAt("/keys", path) ? { "aria-current": "page" } : {})}
          >
            Keys
          </a>
        )}
        {token.value ? (
          <button
            type="button"
            class="quiet small"
            title="Sign out in every tab, and forget the token on this device"
            onClick={() => {
              forgetToken();
              announce("Signed out");
            }}
          >
            <KeyIcon />
            <span>Sign out</span>
          </button>
        ) : (
          usesTokens() && (
            <button
              type="button"
              class="quiet small"
              onClick={() => {
                signingIn.value = true;
              }}
            >
              Sign in
            </button>
          )
        )}
      </div>
    </header>
  );
}

/** Whether the code of the next page is on its way. */
const loading = signal(false);

function Pages() {
  const [fault, setFault] = useState<Error | null>(null);
  const { path } = useLocation();
  useEffect(() => setFault(null), [path]);
  useEffect(() => void setTitle(), []);
  if (fault) {
    return <Failure problem={asProblem(fault, location.origin)} retry={() => location.reload()} />;
  }
  return (
    <ErrorBoundary onError={setFault}>
      {/* Focus moves to the heading of the new page, as when a page loads. */}
      <Router
        onLoadStart={() => {
          loading.value = true;
        }}
        onLoadEnd={() => {
          loading.value = false;
          setTitle();
        }}
        onRouteChange={() => setTitle()?.focus({ preventScroll: true })}
      >
        <Route path="/" component={Overview} />
        <Route path="/classify" component={Classify} />
        <Route path="/batch" component={Batch} />
        <Route path="/batch/:batch" component={Batch} />
        <Route path="/history" component={History} />
        <Route path="/history/:prediction" component={History} />
        <Route path="/review" component={Review} />
        <Route path="/data" component={Data} />
        <Route path="/models" component={Models} />
        <Route path="/models/runs/:run" component={Run} />
        <Route path="/models/versions/:version" component={Version} />
        <Route path="/monitoring" component={Monitoring} />
        <Route path="/keys" component={Keys} />
        <Route default component={NotFound} />
      </Router>
    </ErrorBoundary>
  );
}

function NotFound() {
  return (
    <>
      <h1 tabIndex={-1}>Page not found</h1>
      <Empty title="Nothing at this address">
        <p>
          Check the address, or go to the <a href="/">overview</a>.
        </p>
      </Empty>
    </>
  );
}

export function App() {
  useEffect(() => watchHealth(), []);
  const inside = member.value ? [Review, Models, Data, Monitoring, History] : [];
  useEffect(
    () => prefetch([Verdicts, Batch, ...inside, quietly(loadSignIn), Charts]),
    [member.value],
  );
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
        Skip to content
      </a>
      <Header />
      {loading.value && <progress class="page-loading" aria-label="Loading the page" />}
      <main id="main" tabIndex={-1}>
        <Stray />
        <Pages />
      </main>
      <footer class="bottom">
        <a href={`${config.value.api}/docs`} target="_blank" rel="noreferrer">
          API documentation
        </a>
      </footer>
      {signingIn.value && <SignIn />}
      <Announcer />
    </LocationProvider>
  );
}
