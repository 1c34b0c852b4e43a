import type { Page } from "@playwright/test";

/** The pagination of a list that has no more pages. */
export const LAST_PAGE = { next_page: "", previous_page: "" };

interface Cluster {
  id: string;
  name: string;
  created_at: string;
}

/**
 * Lets a page receive this cluster with a restore that is 42% complete: a real one is complete before the page has
 * loaded. `members` replace those of the restore.
 */
export async function showRunningRestore(page: Page, cluster: Cluster, members: object) {
  const { id, name, created_at } = cluster;
  const restore = {
    id: "7f9ec2a2-6a0e-4b37-9a43-3a2bd4ee3c0b",
    backup_id: "",
    backup_end_time: created_at,
    created_at,
    type: "CLUSTER",
    status: "PENDING",
    completion_percent: 0.42,
    crdb_job_id: "1",
    source_cluster_name: name,
    destination_cluster_name: name,
    ...members,
  };
  const restores = { restores: [restore], pagination: LAST_PAGE };
  await page.route(`**/api/v1/clusters/${id}`, (route) => route.fulfill({ json: cluster }));
  await page.route(`**/api/v1/clusters/${id}/restores?*`, (route) => route.fulfill({ json: restores }));
}
