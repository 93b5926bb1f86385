import { createBrowserRouter } from "react-router";
import { Frame } from "./ui/Frame";
import { NotFound, RouteTrouble } from "./ui/Trouble";

export const router = createBrowserRouter([
  {
    element: <Frame />,
    errorElement: <RouteTrouble />,
    hydrateFallbackElement: <Frame />,
    children: [
      { path: "/", lazy: () => import("./pages/home/HomePage") },
      { path: "/watch/:event", lazy: () => import("./pages/watch/WatchPage") },
      { path: "/studio/:event", lazy: () => import("./pages/studio/StudioPage") },
      { path: "/guest/:event", lazy: () => import("./pages/guest/GuestPage") },
      { path: "*", element: <NotFound /> },
    ],
  },
]);
