/** The pages of the navigation, and what each is for. */
import {
  BatchIcon,
  ClassifyIcon,
  DataIcon,
  ModelsIcon,
  MonitoringIcon,
  OverviewIcon,
  ReviewIcon,
} from "./icons";

export const PAGES = [
  { path: "/", name: "Overview", icon: OverviewIcon, about: "" },
  {
    path: "/classify",
    name: "Classify",
    icon: ClassifyIcon,
    about: "one image or a few: the verdict, and what in the image speaks for it.",
  },
  {
    path: "/batch",
    name: "Batch",
    icon: BatchIcon,
    about: "a folder of up to 10,000 images, with a table to sort and download.",
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
] as const;
