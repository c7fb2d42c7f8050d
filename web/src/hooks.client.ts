import type { HandleClientError } from '@sveltejs/kit';

/** An address that is no page is told on the page, and is no fault of ours to be logged. */
export const handleError: HandleClientError = ({ error, status, message }) => {
  if (status !== 404) console.error(error);
  return { message: error instanceof Error && status !== 404 ? error.message : message };
};
