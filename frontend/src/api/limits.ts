/** Limits of the service that the page must know before it sends anything. */

/** Bytes that a request to the API may have; a larger image goes to the bucket. */
export const MAX_BODY_BYTES = 4 * 1024 * 1024;

/** Content types that the bucket takes. */
export const UPLOADABLE = ["image/jpeg", "image/png", "image/webp"] as const;
export type Uploadable = (typeof UPLOADABLE)[number];

/** Images in one request to `/predict-batch`. */
export const MAX_IMAGES = 10;

/** Files in one batch, and characters in the name of each. */
export const MAX_FILES = 10_000;
export const MAX_NAME = 1_024;

/** Characters in a batch's id. */
export const MAX_ID = 900;

/** Characters of a batch's name for people. */
export const MAX_TITLE = 100;

/** Forms in one page of `/batches/{batch}/uploads`. */
export const FORMS_PAGE = 100;

/** Forms in one answer of `/uploads`. */
export const MAX_FORMS = 100;

/** Rows in one page of `/batches/{batch}/results`. */
export const MAX_ROWS = 1_000;

/** Items in one page of other lists. */
export const MAX_ITEMS = 100;
