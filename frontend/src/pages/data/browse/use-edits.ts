/** Edits of images, one after another, each of which can be undone. */
import { useRef, useState } from "preact/hooks";
import { asProblem, type Problem } from "../../../api/problem";
import { config } from "../../../api/session";
import { announce } from "../../../ui/announce";
import { type Change, changed, changes, doneText, type Image } from "./image";
import { editImages, undoChange } from "./service";
import type { Images } from "./use-images";

/** One image's part of an edit: what it was, its id now, and the change in the audit. */
interface Made {
  before: Image;
  id: string;
  change: string;
}

/** An edit that was made, in words, and what undoes it. */
interface Done {
  text: string;
  made: readonly Made[];
}

export interface Edits {
  /** The last edit that can be undone. */
  last: Done | undefined;
  busy: boolean;
  problem: Problem | undefined;
  /** Images that could not be changed, with the reasons. */
  refused: readonly { name: string; why: string }[];
  apply: (images: readonly Image[], change: Change) => void;
  undo: () => void;
}

interface State {
  busy: boolean;
  problem?: Problem;
  refused: readonly { name: string; why: string }[];
}

export function useEdits(of: Images, onEdited: (ids: ReadonlySet<string>) => void): Edits {
  const [state, setState] = useState<State>({ busy: false, refused: [] });
  const waiting = useRef<Promise<void>>(Promise.resolve());
  // Kept outside the state: an edit may begin before the page has drawn the one before it.
  const stack = useRef<readonly Done[]>([]);
  const edited = useRef(new Map<string, Image>());

  /** The image as the edits before have left it. */
  const current = (image: Image): Image => {
    const next = edited.current.get(image.id);
    return next ? current(next) : image;
  };
  const put = (id: string, now: Image | null) => {
    of.replace(id, now);
    if (!now || now.id === id) return;
    edited.current.delete(now.id);
    edited.current.set(id, now);
  };

  /** Run `work` after all before it; its failure is shown. */
  const then = (work: () => Promise<Omit<State, "busy">>) => {
    waiting.current = waiting.current.then(async () => {
      setState({ busy: true, refused: [] });
      const end = await work();
      setState({ busy: false, ...end });
      if (end.problem) announce(`${end.problem.title}. ${end.problem.detail}`);
    });
  };

  const apply = (images: readonly Image[], change: Change) => {
    then(async () => {
      const affected = images.map(current).filter((image) => changes(image, change));
      const byId = new Map(affected.map((image) => [image.id, image]));
      const { outcomes, problem } = await editImages([...byId.keys()], change);
      const refused: { name: string; why: string }[] = [];
      const made: Made[] = [];
      for (const { id, outcome, image, change: recorded, problem: why } of outcomes) {
        const before = byId.get(id);
        if (!before) continue;
        if (why) {
          refused.push({ name: before.name, why: why.detail });
          continue;
        }
        // An image that is not described yet has its new id only when the list is loaded again.
        const now = outcome === "removed" ? null : (image ?? changed(before, change));
        put(id, now);
        if (recorded) made.push({ before, id: now?.id ?? id, change: recorded });
      }
      onEdited(new Set(images.map(({ id }) => id)));
      if (made.length > 0) {
        const text = doneText(change, made.length);
        announce(text);
        stack.current = [...stack.current, { text, made }];
      }
      return { refused, ...(problem ? { problem } : {}) };
    });
  };

  const undo = () => {
    then(async () => {
      const last = stack.current.at(-1);
      if (!last) return { refused: [] };
      const rest = stack.current.slice(0, -1);
      for (const [at, { before, id, change }] of last.made.entries()) {
        let again: Image | null;
        try {
          again = await undoChange(change);
        } catch (error) {
          // Those before it are undone; the others can be tried again.
          stack.current = [...rest, { ...last, made: last.made.slice(at) }];
          return { refused: [], problem: asProblem(error, config.value.api) };
        }
        put(id, again ?? before);
      }
      stack.current = rest;
      announce(`Undone: ${last.text}`);
      return { refused: [] };
    });
  };

  return {
    last: stack.current.at(-1),
    busy: state.busy,
    problem: state.problem,
    refused: state.refused,
    apply,
    undo,
  };
}
