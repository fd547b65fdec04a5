/** The labelled images, what they look like, and the results of a model trained on them. */

import type { ComponentChildren } from "preact";
import { useLocation } from "preact-iso";
import { Private } from "../../ui/token";
import { Browse } from "./browse";
import { Changes } from "./browse/changes";
import "./data.css";
import { Images } from "./images";
import { Model } from "./model";

const TABS = [
  { show: "images", name: "Overview" },
  { show: "browse", name: "Images" },
  { show: "model", name: "Model results" },
] as const;

const SECTIONS: Record<string, () => ComponentChildren> = {
  browse: () => <Browse />,
  changes: () => <Changes />,
  model: () => <Model />,
};

/** The list of changes belongs to the images. */
const tabOf = (show: string | undefined) => (show === "changes" ? "browse" : show);

export default function Data() {
  const { query } = useLocation();
  const section = SECTIONS[query.show ?? ""];
  const shown = section ? tabOf(query.show) : "images";
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
        {() => (section ? section() : <Images />)}
      </Private>
    </div>
  );
}
