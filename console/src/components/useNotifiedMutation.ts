/** Mutations that report their result: a notification on success, and one with the trace ID on failure. */
import { notifications } from "@mantine/notifications";
import { useMutation, useQueryClient, type UseMutationOptions } from "@tanstack/react-query";
import { createElement } from "react";
import { ApiError, errorMessage } from "../api/client";
import { CopyButton } from "./CopyButton";

export function notifyError(error: unknown, title = "Request failed") {
  const traceId = error instanceof ApiError ? error.traceId : undefined;
  const copy = traceId && createElement(CopyButton, { value: traceId, label: "Copy trace ID", inline: true });
  notifications.show({
    color: "red",
    title,
    message: createElement(
      "div",
      null,
      errorMessage(error),
      copy && createElement("div", { className: "tabular" }, "Trace ", copy),
    ),
    autoClose: 12_000,
  });
}

function notifySuccess(message: string) {
  notifications.show({ color: "brand", message, autoClose: 4_000 });
}

type Options<Data, Variables> = Omit<UseMutationOptions<Data, Error, Variables>, "onSuccess"> & {
  successMessage?: string | ((data: Data, variables: Variables) => string);
  /** The title of the error notification; `null` if the caller shows the error itself. */
  errorTitle?: string | null;
  /** The keys of the queries that the mutation makes stale. */
  invalidates?: readonly (readonly unknown[])[];
  /** The mutation stays pending until the returned promise is settled. */
  onSuccess?: (data: Data, variables: Variables) => void | Promise<void>;
};

export function useNotifiedMutation<Data = unknown, Variables = void>(options: Options<Data, Variables>) {
  const client = useQueryClient();
  const { successMessage, errorTitle, invalidates, onSuccess, ...rest } = options;
  return useMutation<Data, Error, Variables>({
    ...rest,
    onSuccess: (data, variables) => {
      for (const queryKey of invalidates ?? []) void client.invalidateQueries({ queryKey });
      if (successMessage) {
        notifySuccess(typeof successMessage === "function" ? successMessage(data, variables) : successMessage);
      }
      return onSuccess?.(data, variables);
    },
    onError: (error) => {
      if (errorTitle !== null) notifyError(error, errorTitle);
    },
  });
}
