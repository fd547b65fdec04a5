/** The pages of the navigation, and what each is for. */
import type { JSX } from "preact";
import { member, offers } from "../api/session";
import {
  BatchIcon,
  ClassifyIcon,
  DataIcon,
  ModelsIcon,
  MonitoringIcon,
  OverviewIcon,
  ReviewIcon,
} from "./icons";

interface Place {
  path: string;
  name: string;
  icon: () => JSX.Element;
  about: string;
  /** The same for people without a token; without it, the page has nothing for them. */
  visitors?: string;
}

const PAGES: readonly Place[] = [
  { path: "/", name: "Overview", icon: OverviewIcon, about: "", visitors: "" },
  {
    path: "/classify",
    name: "Classify",
    icon: ClassifyIcon,
    about: "one image or a few: the verdict, and what in the image speaks for it.",
    visitors: "one image or a few: the verdict, and what in the image speaks for it.",
  },
  {
    path: "/batch",
    name: "Batch",
    icon: BatchIcon,
    about: "a folder of up to 10,000 images, with a table to sort and download.",
    visitors: "up to ten images at once, with a table to sort and download.",
  },
  {
    path: "/review",
    name: "Review",
    icon: ReviewIcon,
    about: "you decide about images where the model is unsure, and it learns from that.",
  },
  {
    path: "/data",
    name: "Data",
    icon: DataIcon,
    about: "the labelled images, and how often the model is right on them.",
  },
  {
    path: "/models",
    name: "Models",
    icon: ModelsIcon,
    about: "add images, train a new model, and choose which one answers.",
  },
  {
    path: "/monitoring",
    name: "Monitoring",
    icon: MonitoringIcon,
    about: "traffic, errors and response times of the service.",
  },
];

/** The pages that the service has and this person may use. */
export const pages = (): Place[] =>
  PAGES.filter(
    ({ path, visitors }) => offers(path) && (member.value || visitors !== undefined),
  ).map(({ visitors, ...page }) =>
    member.value || visitors === undefined ? page : { ...page, about: visitors },
  );
