import { render } from "preact";
import { asProblem } from "./api/problem";
import { findToken, readConfig } from "./api/session";
import { App } from "./app";
import { findScheme } from "./store/scheme";
import "./style/index.css";
import { Failure } from "./ui/state";

const root = document.getElementById("app") as HTMLElement;

findScheme();
findToken();
try {
  await readConfig();
  render(<App />, root);
  void import("./style/modes.css").catch(() => undefined);
} catch (error) {
  const problem = asProblem(error, `${location.origin}/config.json`);
  render(<Failure problem={problem} retry={() => location.reload()} />, root);
}
