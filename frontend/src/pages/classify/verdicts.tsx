/** One classified image with its code, or two side by side: loaded when there is an image. */
import type { Classified } from "../../store/classified";
import { Code, predictions } from "../../ui/code";
import { ofFiles, ofVideo } from "../../ui/snippets";
import { Result } from "./result";

export { Pair } from "./pair";
export { Result };

export function One({ of }: { of: Classified }) {
  return (
    <Result of={of}>
      {of.answer && (
        <Code
          of={
            of.video ? ofVideo(predictions(), of.video) : ofFiles(predictions(), [of.source.name])
          }
        />
      )}
    </Result>
  );
}
