/** How Debian's Chromium is launched. */
export const launchOptions = {
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
  ],
};

/**
 * Waits until the page has loaded and no animation is running.
 * @param {import("@playwright/test").Page} page
 */
export async function settled(page) {
  await page.locator("h1").first().waitFor({ state: "attached" });
  await page.waitForFunction(
    () =>
      !document.querySelector(".mantine-Skeleton-root[data-visible], .mantine-Loader-root") &&
      document.getAnimations().every((animation) => animation.playState !== "running"),
  );
}
