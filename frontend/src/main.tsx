import { render } from "preact";
import { asProblem } from "./api/problem";
import { findToken, readConfig, takeToken } from "./api/session";
import { App } from "./app";
import { KEPT } from "./store/classified";
import { findScheme } from "./store/scheme";
import "./style/index.css";
import { Failure } from "./ui/state";

const root = document.getElementById("app") as HTMLElement;

findScheme();
findToken();
// A link with a token may be opened in a tab that already shows this page.
addEventListener("hashchange", takeToken);
try {
  await readConfig();
  if (sessionStorage.getItem(KEPT)) {
    void import("./store/session").then(
      ({ restore }) => restore(),
      () => undefined,
    );
  }
  render(<App />, root);
  void import("./style/modes.css").catch(() => undefined);
} catch (error) {
  const problem = asProblem(error, `${location.origin}/config.json`);
  render(<Failure problem={problem} retry={() => location.reload()} />, root);
}
