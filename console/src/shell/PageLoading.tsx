import { Skeleton, Stack } from "@mantine/core";

/** Shown while a page's code is on its way. */
export function PageLoading() {
  return (
    <Stack aria-busy="true" aria-label="Loading the page" role="status">
      <Skeleton height={28} width={220} />
      <Skeleton height={160} />
      <Skeleton height={160} />
    </Stack>
  );
}
