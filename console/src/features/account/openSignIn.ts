let leaving = false;

/**
 * Opens the sign-in page. This loads the document again, which forgets what the user has loaded, and works while another
 * page is still being opened. `expired` explains why, and `to` is the page to return to.
 */
export function openSignIn(search: { to?: string; expired?: "yes" } = {}) {
  // Requests that are rejected meanwhile would start over.
  if (leaving) return;
  leaving = true;
  // Browsers can bring a page back as it was.
  addEventListener("pageshow", ({ persisted }) => persisted && location.reload());
  const parameters = new URLSearchParams(search).toString();
  location.replace(parameters ? `/sign-in?${parameters}` : "/sign-in");
}
