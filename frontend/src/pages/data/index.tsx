/** The training data, and the results of a model trained on it. */
import { useLocation } from "preact-iso";
import { Private } from "../../ui/token";
import "./data.css";
import { Images } from "./images";
import { Model } from "./model";

const TABS = [
  { show: "images", name: "Labelled images" },
  { show: "model", name: "Model results" },
] as const;

export default function Data() {
  const { query } = useLocation();
  const shown = query.show === "model" ? "model" : "images";
  return (
    <div class="data">
      <h1 tabIndex={-1}>Data</h1>
      <nav class="tabs" aria-label="Sections">
        {TABS.map(({ show, name }) => (
          <a
            key={show}
            href={show === "images" ? "/data" : `/data?show=${show}`}
            {...(show === shown ? { "aria-current": "page" as const } : {})}
          >
            {name}
          </a>
        ))}
      </nav>
      <Private reason="Sign in to see training data and model results.">
        {() => (shown === "model" ? <Model /> : <Images />)}
      </Private>
    </div>
  );
}
