/** Whether the panel of test runs is open. */
class Testing {
  open = $state(false);
}

export const testing = new Testing();
