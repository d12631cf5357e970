/** The organisations and clean rooms that the platform comes with. */
export const orgs = ['acme', 'borealis', 'cobalt', 'dune', 'ember'];
export const cleanrooms = Array.from({ length: 40 }, (_, i) => `cr-${i + 1}`);
